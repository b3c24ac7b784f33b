/** The report that the page shows. */

export const report = JSON.parse(document.getElementById('data').textContent);
export const { layers } = report;

/** The folders that the names of all layers begin with: `MobilenetV2/`. */
function commonFolders(names) {
  const [first = ''] = names;
  let length = first.lastIndexOf('/') + 1;
  while (length > 0 && !names.every((name) => name.startsWith(first.slice(0, length)))) {
    length = first.lastIndexOf('/', length - 2) + 1;
  }
  return first.slice(0, length);
}

export const prefix = commonFolders(layers.map(({ name }) => name));

export function shortName(name) {
  return name.startsWith(prefix) ? name.slice(prefix.length) : name;
}
