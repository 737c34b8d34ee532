// A picture that is zoomed and moved, with the value of the pixel under the pointer. Keys: + and - zoom, arrows move, 0 fits.
const MAX_ZOOM = 64;
const STEP = 1.25;
const PIXELATED_FROM = 2; // screen pixels for a pixel of the picture

export default {
  template: `
    <figure class="zoomable" tabindex="0" role="img" :aria-label="label" @keydown="key">
      <div class="frame" ref="frame" @wheel.prevent="wheel" @pointerdown="grab" @pointermove="point" @pointerup="grabbed = null"
           @pointerleave="value = ''" @dblclick="fit">
        <img ref="picture" :src="src" alt="" draggable="false" :style="style" @load="fitNew">
      </div>
      <figcaption>{{ label }}<output>{{ value }}</output></figcaption>
    </figure>`,
  props: { src: String, label: String },
  data: () => ({ zoom: 1, x: 0, y: 0, value: "", grabbed: null, size: "" }),
  computed: {
    style() {
      const rendering = this.zoom >= PIXELATED_FROM ? "pixelated" : "auto";
      return `transform: translate(${this.x}px, ${this.y}px) scale(${this.zoom}); image-rendering: ${rendering}`;
    },
  },
  methods: {
    // A picture of another size is displayed whole; frames of one film stay where the user looks.
    fitNew() {
      const picture = this.$refs.picture;
      const size = `${picture.naturalWidth}x${picture.naturalHeight}`;
      if (size !== this.size) this.fit();
      this.size = size;
      this.pixels = null;
    },
    fit() {
      const { frame, picture } = this.$refs;
      if (!picture.naturalWidth) return;
      this.zoom = Math.min(frame.clientWidth / picture.naturalWidth, frame.clientHeight / picture.naturalHeight) || 1;
      this.x = (frame.clientWidth - this.zoom * picture.naturalWidth) / 2;
      this.y = (frame.clientHeight - this.zoom * picture.naturalHeight) / 2;
    },
    zoomAt(factor, x, y) {
      const zoom = Math.min(Math.max(this.zoom * factor, 0.1), MAX_ZOOM);
      this.x = x - ((x - this.x) * zoom) / this.zoom;
      this.y = y - ((y - this.y) * zoom) / this.zoom;
      this.zoom = zoom;
    },
    wheel(event) {
      const box = this.$refs.frame.getBoundingClientRect();
      this.zoomAt(event.deltaY < 0 ? STEP : 1 / STEP, event.clientX - box.left, event.clientY - box.top);
    },
    grab(event) {
      this.grabbed = { x: event.clientX - this.x, y: event.clientY - this.y };
      event.currentTarget.setPointerCapture(event.pointerId);
    },
    point(event) {
      if (this.grabbed) {
        this.x = event.clientX - this.grabbed.x;
        this.y = event.clientY - this.grabbed.y;
      }
      const box = this.$refs.frame.getBoundingClientRect();
      this.read(Math.floor((event.clientX - box.left - this.x) / this.zoom), Math.floor((event.clientY - box.top - this.y) / this.zoom));
    },
    read(x, y) {
      const picture = this.$refs.picture;
      if (!picture.complete || x < 0 || y < 0 || x >= picture.naturalWidth || y >= picture.naturalHeight) {
        this.value = "";
        return;
      }
      if (!this.pixels) {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
        this.pixels = canvas.getContext("2d", { willReadFrequently: true });
        this.pixels.drawImage(picture, 0, 0);
      }
      const [red, green, blue] = this.pixels.getImageData(x, y, 1, 1).data;
      this.value = `x ${x}, y ${y}: ${red} ${green} ${blue}`;
    },
    key(event) {
      const { clientWidth, clientHeight } = this.$refs.frame;
      const move = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key];
      if (move) [this.x, this.y] = [this.x + move[0], this.y + move[1]];
      else if (event.key === "+" || event.key === "=") this.zoomAt(STEP, clientWidth / 2, clientHeight / 2);
      else if (event.key === "-") this.zoomAt(1 / STEP, clientWidth / 2, clientHeight / 2);
      else if (event.key === "0") this.fit();
      else return;
      event.preventDefault();
    },
  },
};
