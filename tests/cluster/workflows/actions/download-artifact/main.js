const { copyFileSync, readFileSync } = require("node:fs");

const kept = `${process.env.ARTIFACTS}/${process.env.INPUT_NAME}.artifact`;
copyFileSync(kept, readFileSync(`${kept}.name`, "utf8"));
