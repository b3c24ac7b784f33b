/** Elements of the page. Names come from models: they are only ever set as text or attributes. */

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

export function section(id, title, note, ...children) {
  return element(
    'section',
    { id },
    element('h2', {}, title),
    note ? element('p', { class: 'quiet' }, note) : undefined,
    ...children,
  );
}

export function definitions(entries) {
  return element(
    'dl',
    {},
    ...entries.flatMap(([term, text]) => [element('dt', {}, term), element('dd', {}, text)]),
  );
}

/** Buttons of which one is pressed. */
export function choice(label, options, chosen, pick) {
  const buttons = options.map(([value, text]) =>
    element(
      'button',
      {
        type: 'button',
        'aria-pressed': String(value === chosen),
        onclick: () => {
          for (const button of buttons)
            button.setAttribute('aria-pressed', String(button === buttons[at(value)]));
          pick(value);
        },
      },
      text,
    ),
  );
  const at = (value) => options.findIndex(([option]) => option === value);
  return element('div', { class: 'switch', role: 'group', 'aria-label': label }, ...buttons);
}
