#!/usr/bin/env node
// Make the colouring of code from its source, with no more languages than the book has.
//
//     npm install highlight.js@11.11.1 esbuild@0.25.12
//     node make_highlight.mjs node_modules
//
// mdBook asks for `highlightBlock` of every piece of code, also of those within a line; these have
// no language, and stay as they are. A function that is called has no colour here, and is not looked
// for: the `pub` of `pub(crate)` would be taken for one.

import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const LANGUAGES = ["bash", "ini", "plaintext", "python", "rust", "shell", "yaml"];

const [modules] = process.argv.slice(2);
if (!modules) throw new Error("which node_modules?");
const folder = path.resolve(modules);
const require = createRequire(path.join(folder, "none.js"));
const { buildSync } = require("esbuild");
const { version } = require("highlight.js/package.json");
const licence = fs.readFileSync(path.join(folder, "highlight.js/LICENSE"), "utf8").trim();

const entry = `
    import hljs from "highlight.js/lib/core";
    ${LANGUAGES.map((name) => `import ${name} from "highlight.js/lib/languages/${name}";`).join("\n")}
    const languages = { ${LANGUAGES.join()} };
    for (const name in languages) {
        hljs.registerLanguage(name, (hljs) => {
            const language = languages[name](hljs);
            const called = (mode) => mode.className === "title.function.invoke";
            language.contains = language.contains?.filter((mode) => !called(mode));
            return language;
        });
    }
    hljs.highlightBlock = (block) => {
        if (block.className.includes("language-")) hljs.highlightElement(block);
    };
    globalThis.hljs = hljs;
`;
const target = path.join(import.meta.dirname, "highlight.js");
buildSync({
    stdin: { contents: entry, resolveDir: path.dirname(folder) },
    bundle: true,
    minify: true,
    format: "iife",
    banner: { js: `/*\nhighlight.js ${version}, with ${LANGUAGES.join(", ")}; made by make_highlight.mjs\n\n${licence}\n*/` },
    outfile: target,
});
console.log(`${path.basename(target)}: ${fs.statSync(target).size} bytes`);
