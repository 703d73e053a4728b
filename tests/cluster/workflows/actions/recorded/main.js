const { appendFileSync } = require("node:fs");

const inputs = Object.entries(process.env).filter(([name]) => name.startsWith("INPUT_"));
const line = Object.fromEntries(inputs.map(([name, value]) => [name.slice("INPUT_".length).toLowerCase(), value]));
appendFileSync(process.env.ACTIONS_NOTED, JSON.stringify(line) + "\n");
