/** Divides items, in their order, into groups of at most `room` in total; larger single items are alone. */
export function inGroups<T>(items: readonly T[], room: number, sizeOf: (item: T) => number): T[][] {
  const groups: T[][] = [];
  let left = 0;
  for (const item of items) {
    const size = sizeOf(item);
    if (groups.length === 0 || size > left) {
      groups.push([]);
      left = room;
    }
    groups.at(-1)!.push(item);
    left -= size;
  }
  return groups;
}
