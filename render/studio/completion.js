// Completion in an editor of NiceGUI: CodeMirror's own list, whose options the server returns.
import * as CM from "nicegui-codemirror";

const characters = (text) => [...text].length; // Python counts characters, CodeMirror UTF-16 units
const TIMEOUT_MS = 1000;

export default {
  template: `<div hidden></div>`,
  props: { editor: String },
  data: () => ({ waiting: new Map(), last: 0 }),
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
        CM.EditorState.languageData.of(() => [{ autocomplete: source }]),
        CM.EditorView.contentAttributes.of({ "aria-label": "Scene" }),
      ]),
    });
  },
  unmounted() {
    this.dark.removeEventListener("change", this.onScheme);
  },
  methods: {
    async complete(context) {
      const before = context.state.sliceDoc(0, context.pos);
      if (!context.explicit && !/[\w.{[:-]\s?$/.test(before)) return null;
      const id = ++this.last;
      const answer = new Promise((resolve) => {
        this.waiting.set(id, resolve);
        setTimeout(() => this.answer(id, null), TIMEOUT_MS);
      });
      this.$emit("complete", { id, offset: characters(before) });
      const found = await answer;
      if (!found || context.aborted) return null;
      const text = [...context.state.doc.toString()];
      const unit = (offset) => text.slice(0, offset).join("").length;
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
