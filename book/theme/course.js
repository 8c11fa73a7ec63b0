// Predictions remembered in this browser; verdicts and progress from the running `course`.
(() => {
    "use strict";

    const make = (tag, className, text) => {
        const element = document.createElement(tag);
        if (className) element.className = className;
        if (text !== undefined) element.textContent = text;
        return element;
    };

    const dark = document.getElementById("mdbook-theme-navy");
    if (dark) dark.textContent = "Dark";

    // ---- Predictions -----------------------------------------------------------------
    const memory = {
        get(key) {
            try { return localStorage.getItem(key); } catch { return null; }
        },
        set(key, value) {
            try { localStorage.setItem(key, value); } catch { /* private window */ }
        },
    };
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
        box.addEventListener("input", (event) => memory.set(key, event.target.value));
        const mark = () => box.classList.toggle("revealed", reveal.open);
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
    const say = (box, text) => { box.querySelector(".exercise-state").textContent = text; };
    const offline = () => {
        for (const box of boxes.values()) say(box, "start `cargo run --release` for live verdicts");
    };
    const local = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
    if (location.protocol !== "http:" || !local) {
        offline();
        return;
    }

    const WORDS = { open: "not passed yet", tried: "not passed yet", passed: "passed" };
    const MARKS = { open: "○", tried: "◐", passed: "●" };
    const root = new URL(path_to_root || "./", location.href);
    const states = new Map();
    let build = null;

    const level = (error) => {
        if (!Number.isFinite(error)) return "nan";
        return error < 1e-6 ? "0" : error < 0.01 ? "1" : error < 0.1 ? "2" : error < 0.5 ? "3" : "4";
    };

    const arrows = (text) => text.replaceAll(" -> ", " → ");

    const heatmap = (map) => {
        const figure = make("figure", "heat");
        const shape = map.rows === 1 ? "one cell for each element" : "rows are the first axis, columns the second";
        figure.append(make("figcaption", "", `Error of ${map.name}, as a share of its largest value; ${shape}.`));
        const scale = Math.max(...map.expected.map(Math.abs), Number.MIN_VALUE);
        const table = make("table");
        const head = table.createTHead().insertRow();
        head.append(make("th"));
        for (let c = 0; c < map.columns; c += 1) head.append(make("th", "", String(c)));
        const body = table.createTBody();
        for (let n = 0; n < map.rows; n += 1) {
            const row = body.insertRow();
            row.append(make("th", "", map.rows === 1 ? "" : String(n)));
            for (let c = 0; c < map.columns; c += 1) {
                const at = n * map.columns + c;
                const found = map.found[at];
                const cell = row.insertCell();
                cell.dataset.level = level(found === null ? NaN : Math.abs(found - map.expected[at]) / scale);
                const yours = found === null ? "not a number" : found.toPrecision(6);
                cell.title = `${map.name}[${n}, ${c}]: yours ${yours}, right ${map.expected[at].toPrecision(6)}`;
            }
        }
        const scroll = make("div", "heat-scroll");
        scroll.append(table);
        const legend = make("div", "heat-legend");
        const names = { 0: "right", 1: "under 1 %", 2: "under 10 %", 3: "under 50 %", 4: "more", nan: "not a number" };
        for (const key of ["0", "1", "2", "3", "4", "nan"]) {
            const item = make("span");
            const swatch = make("i");
            swatch.dataset.level = key;
            item.append(swatch, names[key]);
            legend.append(item);
        }
        figure.append(scroll, legend);
        return figure;
    };

    const report = (panel, verdict, section) => {
        panel.dataset.outcome = verdict.outcome === "passed" ? "passed"
            : verdict.outcome === "unwritten" ? "open" : "wrong";
        const stop = /[.!?]$/.test(verdict.headline) ? "" : ".";
        const headline = make("p", "headline", arrows(verdict.headline) + stop);
        if (section) {
            const link = make("a", "", section.text);
            link.href = new URL(section.href, root);
            headline.append(" See ", link, ".");
        }
        panel.append(headline);
        if (verdict.lines?.length) {
            const table = make("table");
            for (const line of verdict.lines) {
                const row = table.insertRow();
                row.append(make("td", line.right ? "right" : "wrong", line.right ? "✓" : "✗"));
                const name = make("td");
                name.append(make("code", "", line.name));
                row.append(name, make("td", "detail", line.detail));
            }
            panel.append(table);
        }
        for (const note of verdict.notes ?? []) panel.append(make("p", "", arrows(note)));
        if (verdict.heatmap) panel.append(heatmap(verdict.heatmap));
    };

    const show = (box, entry) => {
        box.dataset.state = entry.state;
        say(box, WORDS[entry.state]);
        const explanation = box.querySelector("details.explanation");
        explanation.hidden = entry.state !== "passed";
        const panel = box.querySelector(".verdict");
        delete panel.dataset.busy;
        panel.hidden = !entry.verdict;
        if (!entry.verdict) return;
        panel.replaceChildren();
        const verdict = entry.verdict;
        panel.dataset.outcome = "wrong";
        if (verdict.kind === "report") {
            report(panel, verdict, entry.section);
            if (verdict.outcome === "passed") explanation.open = true;
        } else if (verdict.kind === "uncompiled") {
            const s = verdict.errors === 1 ? "" : "s";
            panel.append(make("p", "headline", `It does not compile: ${verdict.errors} error${s}.`));
            panel.append(make("pre", "", verdict.messages.trimEnd()));
        } else if (verdict.kind === "endless") {
            panel.append(make("p", "headline", "It did not end in time and was stopped. Is there a loop that never ends?"));
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
        if (box) show(box, entry);
    };

    const broken = (message) => {
        let banner = document.getElementById("course-broken");
        if (!banner) {
            banner = make("div");
            banner.id = "course-broken";
            banner.setAttribute("role", "alert");
            document.querySelector("main").before(banner);
        }
        banner.textContent = message;
    };

    const handlers = {
        state(event) {
            if (build !== null && build !== event.build) {
                location.reload();
                return;
            }
            build = event.build;
            document.getElementById("course-broken")?.remove();
            event.exercises.forEach(update);
            sidebar();
            progress();
        },
        checking(event) {
            const box = boxes.get(event.exercise);
            if (!box) return;
            say(box, "checking …");
            box.querySelector(".verdict").dataset.busy = "";
        },
        verdict(event) {
            document.getElementById("course-broken")?.remove();
            update(event);
            sidebar();
            progress();
        },
        broken(event) {
            broken(event.message);
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
        source.onmessage = (message) => {
            const event = JSON.parse(message.data);
            handlers[event.event]?.(event);
        };
        source.onerror = offline;
    };
    document.addEventListener("visibilitychange", () => listen(!document.hidden));
    window.addEventListener("pagehide", () => listen(false));
    window.addEventListener("pageshow", () => listen(!document.hidden));
    listen(!document.hidden);
})();
