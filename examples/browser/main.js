/** Runs both models on the current picture, again and again while it changes, and shows what they find. */
import { CLASSES, inputOf, loadModels } from './models.js';
import { Camera, drawFile } from './picture.js';

/** A still picture is run as often, to tell the time well. */
const STILL_RUNS = 40;
const SHOWN_CLASSES = 3;

const $ = (id) => document.getElementById(id);
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(2)} MB`;
const times = (factor) => `${factor.toFixed(1)}×`;

const canvas = $('picture');
const camera = new Camera($('video'));
let runsLeft = 0;

function showCard(article, { scores, time }, { memory, bytes }) {
  const ranked = CLASSES.map((name, i) => ({ name, score: scores[i] })).toSorted((a, b) => b.score - a.score);
  article.querySelector('.answer').textContent = ranked[0].name;
  article.querySelector('.scores').replaceChildren(
    ...ranked.slice(0, SHOWN_CLASSES).map(({ name, score }) => {
      const item = document.createElement('li');
      const bar = Object.assign(document.createElement('div'), { className: 'bar' });
      bar.style.setProperty('--score', score);
      item.append(
        Object.assign(document.createElement('span'), { textContent: name }),
        Object.assign(document.createElement('span'), { textContent: `${(100 * score).toFixed(1)} %` }),
        bar,
      );
      return item;
    }),
  );
  article.querySelector('.time').textContent = `${time.toFixed(2)} ms`;
  article.querySelector('.memory').textContent = megabytes(memory);
  article.querySelector('.size').textContent = megabytes(bytes);
}

function showSummary(float, int8, found) {
  const speed = found.float.time / Math.max(found.int8.time, 0.01);
  const faster = speed >= 1 ? `${times(speed)} as fast` : `${times(1 / speed)} slower`;
  $('summary').textContent =
    `INT8: ${faster}, ${times(float.memory / int8.memory)} less memory, ${times(float.bytes / int8.bytes)} smaller`;
}

function runBoth({ float, int8 }) {
  if (camera.running) camera.draw(canvas);
  const input = inputOf(canvas);
  // In turn, so that neither always finds the caches that the other one left.
  const pairs = [
    ['float', float],
    ['int8', int8],
  ];
  if (runsLeft % 2 === 0) pairs.reverse();
  const found = Object.fromEntries(pairs.map(([name, model]) => [name, model.run(input)]));
  input.dispose();
  showCard($('float'), found.float, float);
  showCard($('int8'), found.int8, int8);
  showSummary(float, int8, found);
}

function newPicture(pressed) {
  runsLeft = STILL_RUNS;
  for (const button of $('samples').children) button.setAttribute('aria-pressed', String(button === pressed));
}

async function useFile(file, pressed) {
  if (file === undefined) return;
  stopCamera();
  try {
    await drawFile(canvas, file);
    newPicture(pressed);
  } catch {
    runsLeft = 0;
    $('summary').textContent = `${file.name ?? 'This'} is no picture that the browser can read.`;
  }
}

function stopCamera() {
  camera.stop();
  $('camera').textContent = 'Use the camera';
}

async function toggleCamera() {
  if (camera.running) {
    stopCamera();
    return;
  }
  try {
    await camera.start();
    newPicture();
    $('camera').textContent = 'Stop the camera';
  } catch (error) {
    $('summary').textContent = `The camera cannot be used: ${error.message}`;
  }
}

function addSamples() {
  for (const name of CLASSES) {
    const button = Object.assign(document.createElement('button'), { type: 'button', title: name });
    const url = `./pictures/${name}.png`;
    button.append(Object.assign(document.createElement('img'), { src: url, alt: name }));
    button.addEventListener('click', async () => useFile(await (await fetch(url)).blob(), button));
    $('samples').append(button);
  }
}

function listen() {
  const stage = $('stage');
  $('camera').addEventListener('click', toggleCamera);
  $('file').addEventListener('change', ({ target }) => useFile(target.files[0]));
  stage.addEventListener('dragover', (event) => {
    event.preventDefault();
    stage.classList.add('over');
  });
  stage.addEventListener('dragleave', () => stage.classList.remove('over'));
  stage.addEventListener('drop', (event) => {
    event.preventDefault();
    stage.classList.remove('over');
    useFile(event.dataTransfer.files[0]);
  });
}

async function main() {
  for (const id of ['float', 'int8']) $(id).append($('card').content.cloneNode(true));
  addSamples();
  listen();
  const models = await loadModels();
  $('isa').textContent = models.isa;
  $('samples').children[3].click();
  const frame = () => {
    if (runsLeft > 0 || camera.running) {
      runBoth(models);
      runsLeft = Math.max(0, runsLeft - 1);
    }
    requestAnimationFrame(frame);
  };
  frame();
}

main().catch((error) => {
  $('summary').textContent = `The models cannot be loaded: ${error.message}`;
});
