// What NiceGUI's editor lacks: problems that arrive while one types, and completion whose options the server returns.
//
// NiceGUI's own decorations are sent together with the whole text, which would undo what was typed meanwhile.
import * as CM from "nicegui-codemirror";

const TIMEOUT_MS = 5000; // until a list of completions is given up
const ENDS_NAME = /[\w.{[:-]\s?$/;
const characters = (text) => [...text].length; // Python counts characters, CodeMirror UTF-16 units

const setProblems = CM.StateEffect.define();
const problemField = CM.StateField.define({
  create: () => CM.Decoration.none,
  update(marks, transaction) {
    marks = marks.map(transaction.changes);
    for (const effect of transaction.effects) {
      if (effect.is(setProblems)) marks = CM.Decoration.set(effect.value, true);
    }
    return marks;
  },
  provide: (field) => CM.EditorView.decorations.from(field),
});

const problemTooltip = CM.hoverTooltip((view, position) => {
  const found = [];
  view.state.field(problemField).between(position, position, (from, to, mark) => {
    found.push({ from, to, message: mark.spec.message });
  });
  if (!found.length) return null;
  return {
    pos: found[0].from,
    end: found[0].to,
    above: true,
    create() {
      const dom = document.createElement("div");
      dom.className = "problem-tooltip";
      dom.textContent = found.map((each) => each.message).join("\n");
      return { dom };
    },
  };
});

// Returns a function from offsets in characters to offsets in UTF-16 units.
function unitsOf(text) {
  if (!/[\ud800-\udfff]/.test(text)) return (offset) => offset;
  const starts = [0];
  for (const character of text) starts.push(starts[starts.length - 1] + character.length);
  return (offset) => starts[Math.min(offset, starts.length - 1)];
}

export default {
  template: `<div hidden></div>`,
  props: { editor: String },
  data: () => ({ waiting: new Map(), last: 0 }),
  created() {
    this.view = new Promise((resolve) => (this.setView = resolve));
  },
  async mounted() {
    this.dark = window.matchMedia("(prefers-color-scheme: dark)");
    this.onScheme = () => this.$emit("scheme", this.dark.matches);
    this.dark.addEventListener("change", this.onScheme);
    this.onScheme();
    await new Promise((resolve) => setTimeout(resolve)); // the page is complete after its elements are mounted
    const component = getElement(this.editor);
    const view = component.editor ?? (await component.editorPromise);
    const source = (context) => this.complete(context);
    view.dispatch({
      effects: CM.StateEffect.appendConfig.of([
        problemField,
        problemTooltip,
        CM.EditorState.languageData.of(() => [{ autocomplete: source }]),
        CM.EditorView.contentAttributes.of({ "aria-label": "Scene" }),
      ]),
    });
    this.setView(view);
  },
  unmounted() {
    this.dark.removeEventListener("change", this.onScheme);
  },
  methods: {
    // Underlines the problems of a text of `length` characters; those of an older text are followed by newer ones.
    async display(problems, length) {
      const view = await this.view;
      const text = view.state.doc.toString();
      if (characters(text) !== length) return;
      const unit = unitsOf(text);
      const marks = problems.flatMap(({ start, end, severity, message }) => {
        const to = Math.min(unit(Math.max(end, start + 1)), text.length);
        const from = Math.min(unit(start), to - 1);
        return from < 0 ? [] : [CM.Decoration.mark({ class: `problem ${severity}`, message }).range(from, to)];
      });
      view.dispatch({ effects: setProblems.of(marks) });
    },
    async complete(context) {
      const before = context.state.sliceDoc(0, context.pos);
      if (!context.explicit && !ENDS_NAME.test(before)) return null;
      const id = ++this.last;
      const answer = new Promise((resolve) => {
        this.waiting.set(id, resolve);
        setTimeout(() => this.answer(id, null), TIMEOUT_MS);
      });
      this.$emit("complete", { id, offset: characters(before) });
      const found = await answer;
      if (!found || context.aborted || !found.options.length) return null;
      const unit = unitsOf(context.state.doc.toString());
      return {
        from: unit(found.start),
        to: unit(found.end),
        filter: false,
        options: found.options.map(({ label, detail, insert }) => ({ label, detail, apply: insert })),
      };
    },
    answer(id, found) {
      this.waiting.get(id)?.(found);
      this.waiting.delete(id);
    },
  },
};
