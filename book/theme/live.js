// The live figures of a page. All that they compute, draw and say comes from a module, which is
// the book's own crates; this knows no figure. It sends the values of a figure's controls, and
// puts what comes back where it belongs.

const here = new URL(".", import.meta.url);

// ---- The modules, by name: each is loaded once, and a page has need of one ------------
const compiled = new Map();
const started = new Map();
const load = async (name) => {
    const response = await fetch(new URL(`${name}.wasm`, here));
    if (!response.ok) throw new Error(`${name}.wasm: ${response.status} ${response.statusText}`);
    return WebAssembly.compile(await response.arrayBuffer());
};
const start = async (name) => {
    if (started.has(name)) return;
    if (!compiled.has(name)) compiled.set(name, load(name));
    const { exports } = await WebAssembly.instantiate(await compiled.get(name), {});
    // Another figure may have been faster.
    if (!started.has(name)) started.set(name, exports);
};

// What a module that has started answers to a text, as texts.
const [encoder, decoder] = [new TextEncoder(), new TextDecoder()];
const ask = (name, question) => {
    const module = started.get(name);
    const said = () => decoder.decode(new Uint8Array(module.memory.buffer, module.answer_start(), module.answer_length()));
    const bytes = encoder.encode(question);
    const room = module.question(bytes.length);
    new Uint8Array(module.memory.buffer, room, bytes.length).set(bytes);
    try {
        module.answer();
    } catch {
        // It is of no more use; the next question starts another.
        started.delete(name);
        throw new Error(said());
    }
    return said().split("\0");
};

// ---- A drawing in its place ------------------------------------------------------------
// What comes before the shapes of a drawing, and each of them with all that is in it, as texts.
const parts = (drawing) => {
    const tags = drawing.split("<").slice(1).map((tag) => `<${tag}`);
    const first = tags.findIndex((tag) => tag.startsWith("<g ")) + 1;
    const found = [tags.slice(0, first).join("")];
    let depth = 0;
    // The last two end the group that holds them and the drawing.
    for (const tag of tags.slice(first, -2)) {
        if (depth === 0) found.push(tag);
        else found[found.length - 1] += tag;
        if (tag.startsWith("</")) depth -= 1;
        else if (tag[tag.indexOf(">") - 1] !== "/") depth += 1;
    }
    return found;
};

// Draws in a place, again and again. Shapes that were there stay: they are neither read nor laid out
// nor painted anew.
const drawer = (place) => {
    const reader = document.createElement("template");
    let [head, was] = ["", []];
    return (drawing) => {
        const [begins, ...is] = parts(drawing);
        if (begins !== head) {
            place.innerHTML = drawing;
        } else {
            const shapes = place.querySelector("g");
            const old = [...shapes.children];
            const places = new Map(was.map((text) => [text, []]));
            was.forEach((text, at) => places.get(text).push(at));
            // Of those that are the same, the first behind the last that stays.
            let next = 0;
            const from = is.map((text) => {
                const at = places.get(text)?.find((at) => at >= next);
                next = at === undefined ? next : at + 1;
                return old[at];
            });
            const stay = new Set(from);
            old.filter((shape) => !stay.has(shape)).forEach((shape) => shape.remove());
            reader.innerHTML = `<svg>${is.filter((_, at) => !from[at]).join("")}</svg>`;
            const fresh = [...reader.content.firstChild.children];
            from.reduceRight((after, shape) => shape ?? shapes.insertBefore(fresh.pop(), after), null);
        }
        [head, was] = [begins, is];
    };
};

// ---- One figure ----------------------------------------------------------------------
// A pause as long as this, and a screen reader is told what there is now.
const PAUSE = 600;

export const begin = async (root) => {
    const body = root.querySelector("[data-live-body]");
    const drawing = root.querySelector("[data-live-drawing]");
    const forms = ["wide", "narrow"].map((name) => {
        const place = drawing.querySelector(`.${name}`);
        return { name, place, draw: drawer(place), seen: place.offsetWidth > 0 };
    });
    const text = root.querySelector("[data-live-text]");
    const status = root.querySelector("[data-live-status]");
    const controls = new Map();
    for (const input of root.querySelectorAll("[data-control]")) {
        const name = input.dataset.control;
        controls.set(name, [...(controls.get(name) ?? []), input]);
    }
    const value = (inputs) => {
        const [first] = inputs;
        if (first.type === "checkbox") return first.checked ? "1" : "0";
        if (first.type === "radio") return inputs.find((input) => input.checked)?.value ?? "0";
        return first.value;
    };

    const show = ([forPage, forPhone, sentence, ...said]) => {
        [forPage, forPhone].forEach((drawing, at) => { if (drawing) forms[at].draw(drawing); });
        if (text.textContent !== sentence) text.textContent = sentence;
        [...controls.values()].forEach(([input], at) => {
            const [words, max] = said[at].split("\t");
            if (input.type !== "range") return;
            if (max && input.max !== max) input.max = max;
            if (input.getAttribute("aria-valuetext") === words) return;
            input.setAttribute("aria-valuetext", words);
            input.parentElement.querySelector("output").textContent = words;
        });
    };

    // Shows what is answered for the controls as they are, in one form or in both.
    const answer = (form) => {
        show(ask(root.dataset.module, [`${root.dataset.live}${form}`, ...[...controls.values()].map(value)].join("\n")));
        delete root.dataset.broken;
    };

    // Of all that is moved while the last answer is on its way, only what is there then is asked.
    let asking = false;
    let moved = false;
    let told;
    const update = async () => {
        moved = true;
        if (asking) return;
        asking = true;
        while (moved) {
            moved = false;
            try {
                await start(root.dataset.module);
                const seen = forms.filter((form) => form.seen);
                answer(seen.length === 1 ? ` ${seen[0].name}` : "");
            } catch (why) {
                root.dataset.broken = "";
                text.textContent = `The figure broke off. ${why.message}`;
            }
            // Not more often than the page is drawn.
            await new Promise(requestAnimationFrame);
        }
        asking = false;
        clearTimeout(told);
        told = setTimeout(() => { status.textContent = text.textContent; }, PAUSE);
    };

    // The page is told how high the figure is, and only when that changes: whatever else moves in
    // it, nothing of the page is laid out. A form that was not seen is drawn when it is.
    const sizes = new ResizeObserver((changes) => {
        for (const { target, borderBoxSize: [{ inlineSize, blockSize }] } of changes) {
            if (target === body) root.style.height = `${blockSize}px`;
            const form = forms.find(({ place }) => place === target);
            if (!form || form.seen === inlineSize > 0) continue;
            form.seen = !form.seen;
            if (form.seen) update();
        }
        root.dataset.sized = "";
    });
    [body, ...forms.map(({ place }) => place)].forEach((element) => sizes.observe(element));
    // A printer is told of no size before it prints.
    window.addEventListener("beforeprint", () => { if (started.has(root.dataset.module)) answer(""); });

    root.addEventListener("input", update);
    root.querySelector("[data-live-reset]").addEventListener("click", () => {
        for (const input of [...controls.values()].flat()) {
            input.value = input.defaultValue;
            input.checked = input.defaultChecked;
        }
        update();
    });

    // mdBook takes a quick swipe to the right for a wish to see the contents.
    root.addEventListener("touchstart", (event) => event.stopPropagation(), { passive: true });

    // ---- Dragging: a place in the drawing is a value of a control ------------------------
    const place = (event, form) => {
        const matrix = form.querySelector("svg").getScreenCTM().inverse();
        return new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
    };
    let drags = null;
    drawing.addEventListener("pointerdown", (event) => {
        const handle = event.target.closest("[data-drag-x], [data-drag-y], [data-drag]");
        if (!handle || event.button !== 0) return;
        const form = handle.closest(".wide, .narrow");
        const from = place(event, form);
        drags = ["x", "y"].filter((axis) => handle.hasAttribute(`data-drag-${axis}`)).map((axis) => {
            const [name, low, high] = handle.getAttribute(`data-drag-${axis}`).split(" ");
            const [input] = controls.get(name);
            const [min, max] = [Number(input.min), Number(input.max)];
            const share = (input.value - min) / (max - min);
            // Where in the handle it was taken.
            const off = from[axis] - (Number(low) + share * (high - low));
            const move = (at) => {
                input.value = min + ((at[axis] - off - low) / (high - low)) * (max - min);
            };
            return { form, move };
        });
        // Or a way in the drawing is a change of several.
        for (const part of handle.dataset.drag?.split(";") ?? []) {
            const [name, across, down] = part.split(" ");
            const [input] = controls.get(name);
            const first = Number(input.value);
            const move = (at) => {
                input.value = first + across * (at.x - from.x) + down * (at.y - from.y);
            };
            drags.push({ form, move });
        }
        // The handle is drawn anew as it moves, but not what holds it.
        drawing.setPointerCapture(event.pointerId);
        event.preventDefault();
    });
    drawing.addEventListener("pointermove", (event) => {
        if (!drags) return;
        for (const { form, move } of drags) move(place(event, form));
        update();
    });
    for (const end of ["pointerup", "pointercancel"]) {
        drawing.addEventListener(end, () => { drags = null; });
    }
    drawing.addEventListener("click", (event) => {
        const set = event.target.closest("[data-set]");
        if (!set) return;
        const [name, wanted] = set.dataset.set.split(" ");
        const inputs = controls.get(name);
        const [first] = inputs;
        if (first.type === "radio") inputs.find((input) => input.value === wanted).checked = true;
        else if (first.type === "checkbox") first.checked = wanted === "1";
        else first.value = wanted;
        update();
    });

    // What a browser remembers of the controls may differ from how the figure begins.
    await start(root.dataset.module);
    await update();
    clearTimeout(told);
    root.querySelector(".live-controls").disabled = false;
    root.closest("main").dataset.lively = "";
    root.dataset.ready = "";
};
