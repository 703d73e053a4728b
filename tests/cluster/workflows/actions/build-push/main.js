const { execFileSync } = require("node:child_process");
const { appendFileSync } = require("node:fs");

const input = (name) => process.env[`INPUT_${name.toUpperCase()}`] ?? "";
const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

const command = ["build", "--quiet"];
for (const value of lines(input("build-args"))) command.push("--build-arg", value);
for (const tag of lines(input("tags"))) command.push("--tag", tag);
execFileSync("docker", [...command, input("context")], { stdio: "inherit" });

if (input("push") === "true") {
  const [tag] = lines(input("tags"));
  const pushed = execFileSync("docker", ["push", tag], { encoding: "utf8" });
  const digest = pushed.match(/digest: (sha256:[0-9a-f]{64})/)[1];
  appendFileSync(process.env.GITHUB_OUTPUT, `digest=${digest}\n`);
}
