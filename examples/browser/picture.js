/** Where pictures come from: the camera, files, what is dropped, and samples. Each is drawn into the canvas. */

/** Draws the middle square of a picture or of a camera's frame. */
export function drawSquare(canvas, source, width, height) {
  const side = Math.min(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(
    source,
    (width - side) / 2,
    (height - side) / 2,
    side,
    side,
    0,
    0,
    canvas.width,
    canvas.height,
  );
}

/** @throws TypeError or DOMException for what is no picture */
export async function drawFile(canvas, file) {
  const bitmap = await createImageBitmap(file);
  drawSquare(canvas, bitmap, bitmap.width, bitmap.height);
  bitmap.close();
}

export class Camera {
  #stream;

  constructor(video) {
    this.video = video;
  }

  get running() {
    return this.#stream !== undefined;
  }

  async start() {
    const video = { facingMode: 'environment', width: { ideal: 640 } };
    this.#stream = await navigator.mediaDevices.getUserMedia({ video });
    this.video.srcObject = this.#stream;
    await this.video.play();
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = undefined;
    this.video.srcObject = null;
  }

  draw(canvas) {
    const { videoWidth, videoHeight } = this.video;
    if (videoWidth > 0) drawSquare(canvas, this.video, videoWidth, videoHeight);
  }
}
