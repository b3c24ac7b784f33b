/** Puts the page together. */

import { redraw } from './charts.js';
import { layers, prefix, report } from './data.js';
import { element } from './elements.js';
import { layerSection, noiseSection, sizeSection, timeSection } from './layers.js';
import { cards, floatSection, originSection, outputsNote, recoverySection } from './summary.js';
import { tableSection } from './table.js';

function build() {
  const noise = noiseSection();
  const layer = layerSection();
  const size = sizeSection();
  const table = tableSection();
  const recovery = recoverySection();
  const time = layers.some(({ milliseconds: measured }) => measured) ? timeSection() : undefined;
  document
    .getElementById('report')
    .append(
      element('h1', {}, report.model),
      element(
        'p',
        { class: 'quiet' },
        `Quantization report: the converted model beside its float original.${prefix && ` Names are shown without '${prefix}'.`}`,
      ),
      cards(),
      outputsNote(),
      noise.made,
      layer.made,
      element('div', { class: 'row' }, size.made, ...(time ? [time.made] : [])),
      table.made,
      ...(recovery ? [recovery] : []),
      floatSection(),
      originSection(),
    );
  for (const part of [noise, layer, size, table, time]) part?.show();
}

build();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
