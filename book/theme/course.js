// Keyboard and scrolling; predictions and the reader's place, remembered in this browser; verdicts
// and progress from the running `course`.
(() => {
    "use strict";

    // The folder of the book.
    const root = new URL(path_to_root || "./", location.href);

    const make = (tag, className, text) => {
        const element = document.createElement(tag);
        if (className) element.className = className;
        if (text !== undefined) element.textContent = text;
        return element;
    };

    // ---- Side bar and scrolling ------------------------------------------------------
    // mdBook's own switch is a check box that nobody sees; its script shows the side bar
    // when the button is pressed, and this moves the switch.
    const toggle = document.getElementById("mdbook-sidebar-toggle-anchor");
    document.getElementById("mdbook-sidebar-toggle").addEventListener("click", (event) => {
        toggle.click();
        // Opened from the keyboard, the contents are the next thing to be used.
        if (toggle.checked && event.detail === 0) document.querySelector("#mdbook-sidebar a.active")?.focus();
    });

    // After a jump up, as by a link or when a font comes late, mdBook puts its bar below the upper edge
    // of what is seen, where it would lie on the text until the next time that the page is scrolled.
    const bar = document.getElementById("mdbook-menu-bar");
    const held = () => {
        if (!bar.classList.contains("sticky") && bar.getBoundingClientRect().top > 0) {
            bar.style.top = `${Math.max(document.scrollingElement.scrollTop, 0)}px`;
        }
    };
    document.addEventListener("scroll", held, { passive: true });

    // What is wider than its box is reached with Tab and scrolls with the arrow keys; what
    // fits is no stop on the way.
    const SCROLLERS = {
        ".equation-body": "Equation",
        ".formula.long": "Formula",
        "pre > code, .verdict pre": "Code",
        ".table-wrapper": "Table",
        ".heat-scroll": "Map of the error",
    };
    const scrollable = (element) => element.closest(Object.keys(SCROLLERS).join());
    // Which of its edges there is more beyond: the look of the page says so.
    const more = (element) => {
        const rest = element.scrollWidth - element.clientWidth - element.scrollLeft;
        const edges = [element.scrollLeft > 1 && "before", rest > 1 && "after"].filter(Boolean).join(" ");
        if (edges) element.dataset.more = edges;
        else delete element.dataset.more;
    };
    document.addEventListener("scroll", ({ target }) => {
        if (target.matches?.(Object.keys(SCROLLERS).join())) more(target);
    }, { capture: true, passive: true });
    // On a phone a table of words becomes a list of its rows, each value with its column's name.
    const phone = window.matchMedia("(max-width: 600px)");
    const named = (table) => {
        const heads = [...(table.tHead?.rows[0]?.cells ?? [])];
        table.setAttribute("role", "table");
        for (const row of table.rows) {
            row.setAttribute("role", "row");
            [...row.cells].forEach((cell, at) => {
                cell.setAttribute("role", cell.tagName === "TH" ? "columnheader" : "cell");
                if (cell.tagName === "TH" || cell.querySelector(".column-name")) return;
                const name = make("span", "column-name");
                name.setAttribute("aria-hidden", "true");
                name.append(...[...(heads[at]?.childNodes ?? [])].map((node) => node.cloneNode(true)));
                const value = make("span");
                value.append(...cell.childNodes);
                cell.append(name, value);
            });
        }
    };
    // A long name in a table that is too wide may be broken, at its joints.
    const jointed = (table) => {
        const texts = document.createTreeWalker(table, NodeFilter.SHOW_TEXT);
        const long = [];
        while (texts.nextNode()) {
            const text = texts.currentNode;
            if (text.parentElement.closest("td code:not(.whole)") && /\S{19}/.test(text.data)) long.push(text);
        }
        for (const text of long) {
            if (text.nextSibling?.localName === "wbr") continue;
            const parts = text.data.split(/(?<=::|[./])/);
            text.replaceWith(...parts.flatMap((part) => [part, make("wbr")]).slice(0, -1));
        }
    };
    const stack = (wrapper) => {
        // It is measured as it is by itself: with letters that came late it may fit.
        wrapper.classList.remove("stacked", "titled");
        delete wrapper.dataset.more;
        const table = wrapper.querySelector("table");
        if (!table?.tHead || wrapper.scrollWidth <= wrapper.clientWidth) return;
        jointed(table);
        if (!phone.matches) return;
        const cells = [...table.querySelectorAll("tbody td")];
        const words = cells.filter((cell) => !/^[\s\d.,−±×⁻⁰¹²³⁴-⁹%/–—✓A-Za-z]{0,12}$/u.test(cell.textContent)).length;
        if (words < cells.length / 4) return;
        named(table);
        wrapper.classList.add("stacked");
        // A first heading that says how to read the table is no name for what stands in a row: it stands
        // above all of them.
        if (table.tHead.rows[0].cells[0].textContent.length > 18) wrapper.classList.add("titled");
    };
    const fit = (element) => {
        const kind = Object.keys(SCROLLERS).find((selector) => element.matches(selector));
        if (kind === ".table-wrapper") stack(element);
        more(element);
        const wide = element.scrollWidth > element.clientWidth && element.clientWidth > 0;
        if (!wide) {
            for (const name of ["tabindex", "role", "aria-label"]) element.removeAttribute(name);
            return;
        }
        const number = element.closest("figure, .equation")?.querySelector(".caption-number, .equation-number");
        const name = number?.classList.contains("caption-number") ? number.textContent : [SCROLLERS[kind], number?.textContent].filter(Boolean).join(" ");
        element.tabIndex = 0;
        element.setAttribute("role", "group");
        element.setAttribute("aria-label", `${name}, scrolls sideways`);
    };
    const sizes = new ResizeObserver((changes) => changes.forEach((change) => fit(change.target)));
    const watch = (root) => {
        for (const element of root.querySelectorAll(Object.keys(SCROLLERS).join())) sizes.observe(element);
    };
    watch(document);
    document.fonts.ready.then(() => document.querySelectorAll(Object.keys(SCROLLERS).join()).forEach(fit));
    // mdBook goes to the next chapter on an arrow key, wherever the focus is; it listens at
    // the document, one step above.
    document.body.addEventListener("keydown", (event) => {
        const arrow = event.key === "ArrowLeft" || event.key === "ArrowRight";
        if (arrow && scrollable(event.target)) event.stopPropagation();
    });

    // ---- Live figures ----------------------------------------------------------------
    // What they need is loaded when the text is there and one of them is near.
    const live = document.querySelectorAll("[data-live]");
    const revive = async (figure) => {
        try {
            const { begin } = await import(new URL("live.js", root));
            await begin(figure);
        } catch (why) {
            figure.dataset.broken = "";
            figure.querySelector("[data-live-text]").textContent = `The figure stays as it is: its controls could not be loaded. ${why.message}`;
        }
    };
    const near = new IntersectionObserver((changes) => {
        for (const { target } of changes.filter((change) => change.isIntersecting)) {
            near.unobserve(target);
            (window.requestIdleCallback ?? setTimeout)(() => revive(target));
        }
    }, { rootMargin: "400px" });
    if (live.length) window.addEventListener("load", () => live.forEach((figure) => near.observe(figure)));

    // ---- Search ----------------------------------------------------------------------
    // The index knows words, so a Greek letter is asked for by what the book calls it; and
    // the chapters come before the appendices, and last appendix E, which is the source itself.
    const LETTERS = {
        α: "momentum", β: "beta", γ: "gamma", ε: "eps", μ: "mean", σ: "variance", "σ²": "variance", "x̂": "x_hat",
        "∂": "derivative", "∑": "sum", ℒ: "loss",
    };
    if (window.elasticlunr) {
        const search = elasticlunr.Index.prototype.search;
        elasticlunr.Index.prototype.search = function (query, options) {
            const words = query.split(/\s+/).map((word) => LETTERS[word.normalize("NFC")] ?? word);
            const found = search.call(this, words.join(" "), options);
            for (const result of found) {
                if (window.search.doc_urls[result.ref].startsWith("source-")) result.score *= 0.1;
                else if (/^appendix /i.test(this.documentStore.getDoc(result.ref).breadcrumbs)) result.score *= 0.4;
            }
            return found.sort((a, b) => b.score - a.score);
        };
    }

    // ---- Predictions -----------------------------------------------------------------
    const memory = {
        get(key) {
            try { return localStorage.getItem(key); } catch { return null; }
        },
        set(key, value) {
            try { localStorage.setItem(key, value); } catch { /* private window */ }
        },
    };

    // ---- Chapters read, and where the reader stopped -----------------------------------
    // A chapter is read when its end has been seen; the introduction offers to go on.
    const page = location.pathname.split("/").pop() || "index.html";
    const entrance = page === "index.html" || page === "introduction.html";
    const readMarks = () => {
        for (const link of document.querySelectorAll("#mdbook-sidebar .chapter-link-wrapper > a[href]")) {
            const address = new URL(link.href);
            const read = !address.hash && memory.get(`read:${address.pathname.split("/").pop()}`);
            if (!read || link.querySelector(".read")) continue;
            const mark = make("span", "read", "✓");
            mark.setAttribute("role", "img");
            mark.setAttribute("aria-label", "read");
            link.append(" ", mark);
        }
    };
    readMarks();
    const end = document.querySelector("main > :last-child");
    if (end && !entrance) {
        new IntersectionObserver((changes, observer) => {
            if (!changes.some((change) => change.isIntersecting)) return;
            memory.set(`read:${page}`, "1");
            observer.disconnect();
            readMarks();
        }).observe(end);
        // The last heading above the middle of the window.
        const keep = () => {
            const headings = [...document.querySelectorAll("main :is(h1, h2, h3)[id]")];
            const last = headings.findLast((heading) => heading.getBoundingClientRect().top < innerHeight / 2);
            const title = document.title.replace(/ - [^-]*$/, "");
            const section = last?.matches("h1") ? "" : last?.textContent.trim() ?? "";
            memory.set("place", JSON.stringify({ page, id: last?.id ?? "", title, section }));
        };
        window.addEventListener("pagehide", keep);
        document.addEventListener("visibilitychange", () => { if (document.hidden) keep(); });
    }
    const stopped = () => {
        try { return JSON.parse(memory.get("place")); } catch { return null; }
    };
    const place = entrance ? stopped() : null;
    if (place?.page && place.title) {
        const link = make("a", "", place.section ? `${place.title}, section ${place.section}` : place.title);
        link.href = new URL(`${place.page}#${place.id}`, root);
        const text = make("p", "resume", "You stopped in ");
        text.append(link, ".");
        document.querySelector("main h1").after(text);
    }

    for (const box of document.querySelectorAll("[data-predict]")) {
        const key = `predict:${box.dataset.predict}`;
        const reveal = box.querySelector("details.reveal");
        const words = box.querySelector(".own-words input");
        const saved = memory.get(key);
        if (saved !== null) {
            if (words) words.value = saved;
            for (const choice of box.querySelectorAll("input[type=radio]")) {
                choice.checked = choice.value === saved;
            }
        }
        // Right and wrong are said in words once the answer is open.
        const mark = () => {
            box.classList.toggle("revealed", reveal.open);
            for (const choice of box.querySelectorAll(".choice")) {
                choice.querySelector(".judged")?.remove();
                const input = choice.querySelector("input");
                const right = "right" in input.dataset;
                if (!reveal.open || !(right || input.checked)) continue;
                choice.append(make("span", "judged", right ? "✓ right" : "✗ not so"));
            }
        };
        box.addEventListener("input", (event) => {
            memory.set(key, event.target.value);
            mark();
        });
        reveal.addEventListener("toggle", () => {
            if (reveal.open) memory.set(`${key}:seen`, "1");
            mark();
        });
        if (memory.get(`${key}:seen`) && saved !== null) reveal.open = true;
        mark();
    }

    // ---- Live verdicts ---------------------------------------------------------------
    const boxes = new Map();
    for (const box of document.querySelectorAll("[data-exercise]")) {
        boxes.set(box.dataset.exercise, box);
    }
    const say = (box, ...text) => { box.querySelector(".exercise-state").replaceChildren(...text); };
    // What a check is at. The words are read aloud once, and not each part of many that is done.
    const busy = (box, { words, count }) => {
        const place = box.querySelector(".exercise-state");
        box.querySelector(".verdict").dataset.busy = "";
        if (place.dataset.words !== words || place.lastChild?.className !== "count") {
            const parts = make("span", "count");
            parts.setAttribute("aria-hidden", "true");
            place.dataset.words = words;
            say(box, `${words} …`, parts);
        }
        place.lastChild.textContent = count ? ` ${count[0]} of ${count[1]}` : "";
    };
    // What is being checked may never be answered when the course has ended.
    const idle = (box) => { delete box.querySelector(".verdict").dataset.busy; };
    const offline = (...text) => {
        for (const box of boxes.values()) {
            idle(box);
            say(box, ...text.map((part) => (typeof part === "string" ? part : part.cloneNode(true))));
        }
    };
    // The course marks the pages that it serves. Any other copy is there to be read, and asks
    // nothing of its host.
    if (!("course" in document.documentElement.dataset)) {
        const code = document.querySelector("meta[name=code]")?.content;
        const link = make("a", "", code ? "get the code" : "on your own machine");
        link.href = code ?? new URL("introduction.html#sec:start", root);
        offline(code ? "checked on your own machine: " : "checked ", link);
        return;
    }

    const WORDS = { open: "not passed yet", tried: "not passed yet", passed: "passed" };
    const MARKS = { open: "○", tried: "◐", passed: "●" };
    const states = new Map();
    let build = null;

    // ---- A run that takes its time -----------------------------------------------------
    // What it shows stands in the place of the still, whose size it has. Words and bar follow each
    // moment, and what is read aloud each quarter; where motion is not wanted, the drawing each tenth.
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
    const runs = new Map();
    for (const [name, box] of boxes) {
        const place = box.querySelector("[data-run]");
        const figure = place && document.getElementById(place.dataset.run);
        if (!figure) continue;
        const forms = [".wide", ".narrow"].map((form) => figure.querySelector(form));
        const aloud = make("p", "unseen");
        aloud.setAttribute("aria-live", "polite");
        place.append(aloud);
        const link = place.querySelector("a");
        const run = { place, forms, aloud, bar: place.querySelector("progress"), words: place.querySelector("p"), quarter: null, tenth: null };
        run.stills = forms.map((form) => form.firstElementChild);
        run.idle = ["Once its gradients are right, it trains, and ", link.cloneNode(true), " shows it as it happens. Until then the figure shows a run of the book's solution."];
        runs.set(name, run);
    }
    const drawn = (text) => {
        const svg = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
        if (svg.localName !== "svg" || svg.querySelector("script, foreignObject")) return null;
        svg.style.width = `${svg.viewBox.baseVal.width}px`;
        return document.importNode(svg, true);
    };
    const runShown = (name, moment) => {
        const run = runs.get(name);
        if (!run) return;
        if (!moment) {
            run.forms.forEach((form, at) => form.replaceChildren(run.stills[at]));
            run.words.replaceChildren(...run.idle.map((part) => (typeof part === "string" ? part : part.cloneNode(true))));
            run.bar.value = 0;
            run.quarter = run.tenth = null;
            return;
        }
        const share = moment.done / Math.max(moment.of, 1);
        const told = `Step ${moment.done} of ${moment.of}: ${moment.told}.`;
        run.bar.value = share;
        run.words.textContent = told;
        const [quarter, tenth] = [Math.floor(4 * share), Math.floor(10 * share)];
        if (quarter !== run.quarter) run.aloud.textContent = told;
        const still = calm.matches && tenth === run.tenth;
        [run.quarter, run.tenth] = [quarter, tenth];
        if (still) return;
        run.forms.forEach((form, at) => {
            const svg = drawn(moment.drawing[at]);
            if (svg) form.replaceChildren(svg);
        });
    };

    // ---- Words of a verdict ----------------------------------------------------------
    // What the checker writes in ASCII, as the book writes it.
    const SIGNS = new Map(Object.entries({
        x_hat: "x̂", dx_hat: "dx̂", sigma: "σ", mu: "μ", gamma: "γ", dgamma: "dγ", beta: "β", dbeta: "dβ",
        eps: "ε", "->": "→", "*": "·", sqrt: "√", "<=": "≤", ">=": "≥",
    }));
    const NAMES = /`([^`]+)`|\^\(?(-?[\d/]+)\)?|(?<![\w.`])(?:d?x_hat|sigma|mu|d?gamma|d?beta|eps|sqrt)(?![\w`])|(?<=\s)(?:->|\*|<=|>=)(?=\s)/gu;
    const typeset = (element, text) => {
        let at = 0;
        for (const found of text.matchAll(NAMES)) {
            element.append(text.slice(at, found.index));
            const [whole, code, power] = found;
            if (code) element.append(make("code", "", code));
            else if (power) element.append(make("sup", "", power.replace("-", "−")));
            else element.append(SIGNS.get(whole));
            at = found.index + whole.length;
        }
        element.append(text.slice(at));
        return element;
    };
    // A sentence begins with a capital, unless its first word is a name in the code.
    const sentence = (text, names) => {
        const [first] = text.match(/^[a-z]+(?=[\s,])/) ?? [];
        const word = first && !SIGNS.has(first) && !names.includes(first) && (first.length > 2 || ["a", "an", "at", "by", "if", "in", "is", "it", "no", "of", "on", "so", "to"].includes(first));
        const begun = word ? text[0].toUpperCase() + text.slice(1) : text;
        return /[.!?]$/.test(begun) ? begun : `${begun}.`;
    };

    // ---- Map of the error ------------------------------------------------------------
    const LEVELS = [
        ["right", "right"], ["1", "under 1 %"], ["2", "under 10 %"], ["3", "under 50 %"], ["4", "more"],
        ["infinite", "infinite"], ["nan", "not a number"],
    ];
    const level = (found, expected, scale) => {
        if (Number.isNaN(found)) return "nan";
        if (!Number.isFinite(found)) return "infinite";
        const error = Math.abs(found - expected) / scale;
        return error < 1e-6 ? "right" : error < 0.01 ? "1" : error < 0.1 ? "2" : error < 0.5 ? "3" : "4";
    };
    const number = (value) => {
        if (Number.isNaN(value)) return "not a number";
        if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
        return value.toPrecision(6).replace("-", "−");
    };

    // One cell at a time is on the way of Tab, the arrow keys go from it to its neighbours,
    // and the line below says what is in it: nothing of the map is told by a mouse alone.
    const heatmap = (map) => {
        const figure = make("figure", "heat");
        const shape = map.rows === 1 ? "one cell for each element" : "rows are the first axis, columns the second";
        figure.append(make("figcaption", "", `Error of ${map.name}, as a share of its largest value; ${shape}.`));
        const scale = Math.max(...map.expected.map(Number).filter(Number.isFinite).map(Math.abs), Number.MIN_VALUE);
        const table = make("table");
        table.setAttribute("role", "grid");
        table.setAttribute("aria-label", `Error of ${map.name}`);
        const read = make("p", "heat-read");
        const head = table.createTHead().insertRow();
        head.append(make("td"));
        for (let c = 0; c < map.columns; c += 1) head.append(make("th", "", String(c)));
        const body = table.createTBody();
        const cells = [];
        const choose = (at) => {
            for (const cell of cells) cell.tabIndex = -1;
            cells[at].tabIndex = 0;
            read.textContent = cells[at].getAttribute("aria-label");
        };
        for (let n = 0; n < map.rows; n += 1) {
            const row = body.insertRow();
            row.append(map.rows === 1 ? make("td") : make("th", "", String(n)));
            for (let c = 0; c < map.columns; c += 1) {
                const at = n * map.columns + c;
                const [found, expected] = [Number(map.found[at]), Number(map.expected[at])];
                const cell = row.insertCell();
                cell.dataset.level = level(found, expected, scale);
                if (cell.dataset.level === "infinite") cell.textContent = number(found);
                const place = map.rows === 1 ? c : `${n}, ${c}`;
                cell.setAttribute("aria-label", `${map.name}[${place}]: yours ${number(found)}, right ${number(expected)}`);
                cell.addEventListener("pointerenter", () => choose(at));
                cell.addEventListener("focus", () => choose(at));
                cells.push(cell);
            }
        }
        const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -map.columns, ArrowDown: map.columns };
        table.addEventListener("keydown", (event) => {
            const at = cells.indexOf(event.target) + steps[event.key];
            if (!(at >= 0 && at < cells.length)) return;
            event.preventDefault();
            cells[at].focus();
        });
        choose(Math.max(cells.findIndex((cell) => cell.dataset.level !== "right"), 0));
        const scroll = make("div", "heat-scroll");
        scroll.append(table);
        const legend = make("p", "heat-legend");
        for (const [key, name] of LEVELS) {
            const item = make("span");
            const swatch = make("i", "", key === "infinite" ? "∞" : "");
            swatch.dataset.level = key;
            item.append(swatch, name);
            legend.append(item);
        }
        figure.append(scroll, read, legend);
        return figure;
    };

    // The weights of the paths, each a bar in the colour of its path. The bar begins at 0,
    // the line beside it is at 1, where a right weight ends.
    const PATHS = [[/sigma|square|var/, "variance"], [/\bmu\b|mean/, "mean"], [/direct/, "direct"]];
    const weights = (list) => {
        const box = make("dl", "weights");
        for (const { path: name, weight } of list) {
            box.append(typeset(make("dt"), name));
            const value = make("dd", "", weight.toFixed(3).replace("-", "−"));
            const bar = make("span", "weight");
            const share = Math.max(-1, Math.min(weight, 2));
            bar.style.setProperty("--from", `${(100 * (1 + Math.min(share, 0))) / 3}%`);
            bar.style.setProperty("--to", `${(100 * (1 + Math.max(share, 0))) / 3}%`);
            bar.dataset.path = PATHS.find(([part]) => part.test(name))?.[1] ?? "";
            value.prepend(bar);
            box.append(value);
        }
        return box;
    };

    const report = (panel, verdict, section) => {
        panel.dataset.outcome = verdict.outcome === "passed" ? "passed"
            : verdict.outcome === "unwritten" ? "open" : "wrong";
        const lines = verdict.lines ?? [];
        const names = lines.map((line) => line.name);
        const headline = typeset(make("p", "headline"), sentence(verdict.headline, names));
        if (section) {
            const link = make("a", "", section.text);
            link.href = new URL(section.href, root);
            headline.append(" See ", link, ".");
        }
        panel.append(headline);
        if (lines.length) {
            const table = make("table");
            for (const line of lines) {
                const row = table.insertRow();
                const mark = make("td", line.right ? "right" : "wrong", line.right ? "✓" : "✗");
                mark.append(make("span", "unseen", line.right ? " right" : " wrong"));
                const name = make("td");
                name.append(make("code", "", line.name));
                row.append(mark, name, typeset(make("td", "detail"), line.detail));
            }
            panel.append(table);
        }
        for (const note of verdict.notes ?? []) panel.append(typeset(make("p"), note));
        if (verdict.weights?.length) panel.append(weights(verdict.weights));
        if (verdict.heatmap) panel.append(heatmap(verdict.heatmap));
    };

    // After a pass: how far one has come, and where it goes on.
    const onward = (entry) => {
        const all = [...states.values()];
        const passed = all.filter((other) => other.state === "passed").length;
        const text = make("p", "onward", `${passed} of ${all.length} exercises passed. `);
        const next = states.get(entry.next);
        if (next?.page) {
            const link = make("a", "", next.title);
            link.href = new URL(next.page, root);
            text.append("The next one is ", link, ".");
        } else if (passed === all.length) {
            text.append("That was the last one.");
        }
        return text;
    };

    const show = (box, entry) => {
        box.dataset.state = entry.state;
        say(box, WORDS[entry.state]);
        runShown(entry.exercise, entry.moment);
        const explanation = box.querySelector("details.explanation");
        explanation.hidden = entry.state !== "passed";
        const panel = box.querySelector(".verdict");
        idle(box);
        panel.hidden = !entry.verdict;
        if (!entry.verdict) return;
        panel.replaceChildren();
        const verdict = entry.verdict;
        panel.dataset.outcome = "wrong";
        if (verdict.kind === "report") {
            report(panel, verdict, entry.section);
            if (verdict.outcome === "passed") {
                explanation.open = true;
                panel.append(onward(entry));
            }
        } else if (verdict.kind === "uncompiled") {
            const s = verdict.errors === 1 ? "" : "s";
            panel.append(make("p", "headline", `It does not compile: ${verdict.errors} error${s}.`));
            panel.append(make("pre", "", verdict.messages.trimEnd()));
        } else if (verdict.kind === "endless") {
            panel.append(make("p", "headline", "It did not end in time and was stopped. Is there a loop that never ends?"));
        } else if (verdict.kind === "stopped") {
            panel.dataset.outcome = "open";
            panel.append(make("p", "headline", "It was stopped before its end, for another exercise was saved. Save it again to run it anew."));
        } else if (verdict.kind === "loud") {
            panel.append(make("p", "headline", "It printed without end and was stopped. Is there a loop that never ends?"));
        } else if (verdict.kind === "missing") {
            panel.append(make("p", "headline", `${verdict.message}.`));
        } else {
            panel.append(make("p", "headline", `It ended without a verdict: ${verdict.message}.`));
        }
        if (entry.printed?.trim()) {
            panel.append(make("p", "", "It printed:"), make("pre", "", entry.printed.trimEnd()));
        }
        watch(panel);
    };

    const sidebar = () => {
        for (const old of document.querySelectorAll("#mdbook-sidebar .marks")) old.remove();
        const chapters = new Map();
        for (const entry of states.values()) {
            if (!entry.page) continue;
            const page = new URL(entry.page, root).pathname;
            chapters.set(page, [...(chapters.get(page) ?? []), entry]);
        }
        for (const link of document.querySelectorAll("#mdbook-sidebar .chapter-link-wrapper > a[href]")) {
            const address = new URL(link.href);
            const entries = chapters.get(address.pathname);
            // A link with a fragment is a section of the open chapter.
            if (!entries || address.hash) continue;
            const marks = make("span", "marks");
            const passed = entries.filter((entry) => entry.state === "passed").length;
            marks.setAttribute("role", "img");
            marks.setAttribute("aria-label", `${passed} of ${entries.length} exercises passed`);
            for (const entry of entries) {
                const mark = make("span", "", MARKS[entry.state]);
                mark.dataset.state = entry.state;
                mark.title = `${entry.exercise}: ${WORDS[entry.state]}`;
                marks.append(mark);
            }
            link.after(marks);
        }
    };

    const progress = () => {
        const all = [...states.values()];
        const passed = all.filter((entry) => entry.state === "passed").length;
        let place = document.getElementById("course-progress");
        if (!place) {
            place = make("span");
            place.id = "course-progress";
            document.querySelector(".right-buttons")?.prepend(place);
        }
        place.title = `${passed} of ${all.length} exercises passed`;
        const bar = make("span", "bar");
        const fill = make("span");
        fill.style.width = `${(100 * passed) / Math.max(all.length, 1)}%`;
        bar.append(fill);
        place.replaceChildren(`${passed} / ${all.length}`, bar);
    };

    const update = (entry) => {
        states.set(entry.exercise, entry);
        const box = boxes.get(entry.exercise);
        if (!box) return;
        show(box, entry);
        if (entry.checking) busy(box, entry.checking);
    };

    // A notice stands at the foot of the window, wherever in the page the reader is.
    const notice = (id, ...text) => {
        const old = document.getElementById(id);
        if (text.length === 0) {
            old?.remove();
            return;
        }
        const place = old ?? make("div", "course-notice");
        place.id = id;
        place.setAttribute("role", "alert");
        place.replaceChildren(...text);
        if (!old) document.querySelector("main").after(place);
    };

    const handlers = {
        state(event) {
            if (build !== null && build !== event.build) {
                location.reload();
                return;
            }
            build = event.build;
            notice("course-broken");
            // All of them are known before one is shown: it may name another.
            for (const entry of event.exercises) states.set(entry.exercise, entry);
            event.exercises.forEach(update);
            sidebar();
            progress();
        },
        checking(event) {
            const box = boxes.get(event.exercise);
            if (box) busy(box, event.checking);
        },
        moment(event) {
            runShown(event.exercise, event.moment);
            const box = boxes.get(event.exercise);
            if (box) say(box, event.moment.done < event.moment.of ? "running …" : "checking …");
        },
        verdict(event) {
            notice("course-broken");
            const done = event.state === "passed";
            for (const entry of states.values()) {
                if (done && entry.next === event.exercise) entry.next = event.next;
            }
            update(event);
            sidebar();
            progress();
        },
        broken(event) {
            for (const [name, box] of boxes) {
                idle(box);
                if (states.has(name)) say(box, WORDS[states.get(name).state]);
            }
            notice("course-broken", event.message);
        },
    };

    // An open stream holds one of the six connections a browser gives a site. So only a
    // page that is looked at has one; when it is shown again it is told how things are.
    let source = null;
    const listen = (wanted) => {
        if (wanted === (source !== null)) return;
        if (!wanted) {
            source.close();
            source = null;
            return;
        }
        source = new EventSource(new URL("events", root));
        source.onopen = () => notice("course-gone");
        source.onmessage = (message) => {
            const event = JSON.parse(message.data);
            handlers[event.event]?.(event);
        };
        source.onerror = () => {
            offline("start ", make("code", "", "cargo run"), " for live verdicts");
            if (build !== null) notice("course-gone", "The course has ended. To go on, start it again with ", make("code", "", "cargo run"), ".");
        };
    };
    document.addEventListener("visibilitychange", () => listen(!document.hidden));
    window.addEventListener("pagehide", () => listen(false));
    window.addEventListener("pageshow", () => listen(!document.hidden));
    listen(!document.hidden);
})();
