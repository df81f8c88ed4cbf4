// A hole painted on a picture: white on black in the picture's own size, seen as a veil over it.

const VEIL = "rgb(31 95 153)";

export class Brush {
  /**
   * @param canvas lies over `image`, and is as large as what is seen of it
   * @param changed is called when something is painted or wiped
   */
  constructor(canvas, image, changed) {
    this.canvas = canvas;
    this.image = image;
    this.changed = changed;
    this.painted = false;
    this.at = null; // where the brush is, in the picture's pixels
    canvas.style.opacity = 0.65;
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => event.buttons && this.stroke(this.place(event)));
    canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.cover()).observe(image);
  }

  reset() {
    this.canvas.width = this.image.naturalWidth;
    this.canvas.height = this.image.naturalHeight;
    this.painted = false;
    this.at = null;
    this.cover();
    this.changed();
  }

  /** Lay the canvas over what is seen of the image, which is fitted into its box. */
  cover() {
    const { naturalWidth: width, naturalHeight: height, clientWidth, clientHeight } = this.image;
    const scale = Math.min(clientWidth / width, clientHeight / height) || 0;
    Object.assign(this.canvas.style, {
      width: `${width * scale}px`, height: `${height * scale}px`,
      left: `${(clientWidth - width * scale) / 2}px`, top: `${(clientHeight - height * scale) / 2}px`,
    });
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * this.canvas.width / box.width, (event.clientY - box.top) * this.canvas.height / box.height];
  }

  begin(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.at = this.place(event);
    this.stroke(this.at);
  }

  stroke(to) {
    const pen = this.canvas.getContext("2d");
    pen.strokeStyle = pen.fillStyle = VEIL;
    pen.lineWidth = Math.min(this.canvas.width, this.canvas.height) / 14;
    pen.lineCap = "round";
    pen.beginPath();
    pen.moveTo(...(this.at ?? to));
    pen.lineTo(...to);
    pen.stroke();
    pen.beginPath();
    pen.arc(...to, pen.lineWidth / 2, 0, 2 * Math.PI); // of a line without a length some browsers draw nothing
    pen.fill();
    this.at = to;
    this.painted = true;
    this.changed();
  }

  key(event) {
    const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], " ": [0, 0] }[event.key] ?? [];
    if (x === undefined) return;
    event.preventDefault();
    const step = Math.min(this.canvas.width, this.canvas.height) / 28;
    const [left, top] = this.at ?? [this.canvas.width / 2, this.canvas.height / 2];
    const to = [left + x * step, top + y * step];
    if (event.key === " " || event.shiftKey) this.stroke(to);
    else this.at = to;
  }

  /** The hole as a picture, white where something was painted. */
  async picture() {
    const copy = new OffscreenCanvas(this.canvas.width, this.canvas.height);
    const pen = copy.getContext("2d");
    pen.drawImage(this.canvas, 0, 0);
    pen.globalCompositeOperation = "source-in";
    pen.fillStyle = "white";
    pen.fillRect(0, 0, copy.width, copy.height);
    pen.globalCompositeOperation = "destination-over";
    pen.fillStyle = "black";
    pen.fillRect(0, 0, copy.width, copy.height);
    return copy.convertToBlob({ type: "image/png" });
  }
}
