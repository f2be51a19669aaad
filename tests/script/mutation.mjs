// Mutation tests of the script: change one expression of a module at a time, and count the changes that a test notices.
//
//   make mutate-script MODULE="sync connection" SAMPLE=100 SEED=1
//
// A mutant is killed by a failing test, or by tests that hang. The tests that import its module run first, then all. The
// mutants in equivalent.json behave like the original: they do not count ("in" names the line, where others are equal). It ends with 1 if a module has less than 90 %.

import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

const SRC = "static/htmx_live/src";
const TESTS = "tests/script";
const WANTED = 90; // per cent
const TIME_LIMIT = 60_000; // milliseconds for the tests of one mutant, on a busy machine
// Those that decide. The others are wiring, or talk to a part of the browser that only the tests in Chromium have.
const DECIDING = [
  "connection",
  "directives",
  "event-stream",
  "fields",
  "fragments",
  "loading",
  "messages",
  "morph",
  "page",
  "page-changes",
  "polling",
  "reachability",
  "request-queue",
  "requests",
  "responses",
  "sync",
  "text-streams",
  "toasts",
];

const SWAPPED = {
  "===": "!==",
  "!==": "===",
  "==": "!=",
  "!=": "==",
  "<": "<=",
  "<=": "<",
  ">": ">=",
  ">=": ">",
  "+": "-",
  "-": "+",
  "*": "/",
  "/": "*",
  "&&": "||",
  "||": "&&",
  "??": "&&",
  "||=": "=",
  "??=": "=",
  "+=": "-=",
  "++": "--",
  in: "instanceof",
};

/** The texts that a node can be replaced by. @returns {Generator<[start: number, end: number, text: string]>} */
function* replacements(node, source) {
  const text = ({ start, end }) => source.slice(start, end);
  const whole = (replacement) => [node.start, node.end, replacement];
  switch (node.type) {
    case "BinaryExpression":
    case "LogicalExpression":
      yield whole(`(${text(node.left)} ${SWAPPED[node.operator] ?? "+"} (${text(node.right)}))`);
      if (node.type === "LogicalExpression")
        (yield whole(`(${text(node.left)})`), yield whole(`(${text(node.right)})`));
      break;
    case "AssignmentExpression":
      if (SWAPPED[node.operator]) yield whole(`(${text(node.left)} ${SWAPPED[node.operator]} (${text(node.right)}))`);
      break;
    case "UpdateExpression":
      yield whole(text(node).replace(node.operator, node.operator === "++" ? "--" : "++"));
      break;
    case "UnaryExpression":
      if (node.operator === "!") yield whole(`(${text(node.argument)})`);
      break;
    case "ConditionalExpression":
    case "IfStatement":
      for (const value of ["true", "false"]) yield [node.test.start, node.test.end, value];
      break;
    case "Literal":
      if (typeof node.value === "number") yield whole(String(node.value + 1));
      if (typeof node.value === "boolean") yield whole(String(!node.value));
      if (typeof node.value === "string") yield whole(node.value ? '""' : '"x"');
      break;
    case "ExpressionStatement":
      yield whole(";");
      break;
    case "ReturnStatement":
      if (node.argument && text(node.argument) !== "undefined") yield whole("return;");
      break;
    case "CallExpression":
    case "MemberExpression":
      if (node.optional) {
        const at = source.indexOf("?.", (node.object ?? node.callee).end);
        const dot = node.type === "MemberExpression" && !node.computed ? "." : "";
        yield whole(source.slice(node.start, at) + dot + source.slice(at + 2, node.end));
      }
      break;
    case "ArrowFunctionExpression":
      if (node.expression) yield [node.body.start, node.body.end, "undefined"];
  }
}

/** All mutants of a module, in the order of the source. */
function mutants(parse, name) {
  const source = readFileSync(join(SRC, `${name}.js`), "utf8");
  const found = [];
  const visit = (node) => {
    if (!node || typeof node.type !== "string" || node.type === "ImportDeclaration") return;
    for (const [start, end, text] of replacements(node, source))
      found.push({
        name,
        mutated: source.slice(0, start) + text + source.slice(end),
        line: source.slice(0, start).split("\n").length,
        text: source.slice(source.lastIndexOf("\n", start) + 1).split("\n")[0],
        before: source.slice(start, end).replace(/\s+/g, " "),
        after: text.replace(/\s+/g, " "),
      });
    for (const child of Object.values(node))
      for (const one of [child].flat()) if (one && typeof one === "object") visit(one);
  };
  visit(parse(source, { ecmaVersion: "latest", sourceType: "module" }));
  return found;
}

/** `count` of `all`, the same ones for the same seed. */
function sample(all, count, seed) {
  const rest = [...all];
  const chosen = [];
  for (let state = seed; rest.length && chosen.length < count; ) {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    chosen.push(...rest.splice(state % rest.length, 1));
  }
  return chosen;
}

/** Whether tests pass in a folder: of one file, which takes one process, or of several. */
function passes(folder, files) {
  return new Promise((resolve) => {
    const run = spawn(process.execPath, files.length === 1 ? files : ["--test", ...files], {
      cwd: folder,
      stdio: "ignore",
    });
    const limit = setTimeout(() => run.kill("SIGKILL"), TIME_LIMIT);
    run.on("exit", (code) => (clearTimeout(limit), resolve(code === 0)));
  });
}

/** Try mutants one after the other in a copy of the modules and the tests. */
async function work(queue, survivors) {
  const folder = mkdtempSync(join(tmpdir(), "htmx_live-mutation-"));
  for (const path of [SRC, TESTS]) cpSync(path, join(folder, path), { recursive: true });
  const files = readdirSync(TESTS)
    .filter((file) => file.endsWith(".test.mjs"))
    .map((file) => join(TESTS, file));
  for (let mutant; (mutant = queue.shift()); ) {
    const path = join(SRC, `${mutant.name}.js`);
    const original = readFileSync(path);
    const near = files.filter((file) => readFileSync(file, "utf8").includes(`/src/${mutant.name}.js`));
    const far = files.filter((file) => !near.includes(file));
    writeFileSync(join(folder, path), mutant.mutated);
    if ((await passes(folder, near)) && (await passes(folder, far))) survivors.push(mutant);
    writeFileSync(join(folder, path), original);
  }
  rmSync(folder, { recursive: true });
}

const { values } = parseArgs({
  options: {
    acorn: { type: "string" },
    modules: { type: "string", default: "" },
    sample: { type: "string", default: "100" },
    seed: { type: "string", default: "1" },
    workers: { type: "string", default: "2" },
  },
});
const { parse } = await import(join(values.acorn, "dist/acorn.mjs"));
const equivalent = JSON.parse(readFileSync(join(TESTS, "equivalent.json"), "utf8"));
const isEquivalent = (mutant) =>
  equivalent[mutant.name]?.some(
    (one) => one.before === mutant.before && one.after === mutant.after && mutant.text.includes(one.in ?? ""),
  );

let isEnough = true;
const wanted = values.modules.trim() ? values.modules.trim().split(/\s+/) : DECIDING;
for (const name of wanted) {
  const all = mutants(parse, name);
  const counted = all.filter((mutant) => !isEquivalent(mutant));
  const survivors = [];
  const chosen = sample(counted, Number(values.sample), Number(values.seed));
  const total = chosen.length;
  await Promise.all(Array.from({ length: Number(values.workers) }, () => work(chosen, survivors)));
  const score = total ? (100 * (total - survivors.length)) / total : 100;
  isEnough &&= score >= WANTED;
  console.log(
    `${name}: ${total - survivors.length} of ${total} killed, ${score.toFixed(1)} % (of ${all.length}, ${all.length - counted.length} equivalent)`,
  );
  for (const { line, before, after } of survivors.sort((a, b) => a.line - b.line))
    console.log(`  ${SRC}/${name}.js:${line}: ${before}  ->  ${after}`);
}
process.exit(isEnough ? 0 : 1);
