const { copyFileSync, writeFileSync } = require("node:fs");
const { basename } = require("node:path");

const kept = `${process.env.ARTIFACTS}/${process.env.INPUT_NAME}.artifact`;
copyFileSync(process.env.INPUT_PATH, kept);
writeFileSync(`${kept}.name`, basename(process.env.INPUT_PATH));
