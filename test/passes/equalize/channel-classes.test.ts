import { ChannelClasses } from '../../../src/passes/equalize/channel-classes';

const ref = (node: string) => ({ node, index: 0 });

function classes(): ChannelClasses {
  const shapes = new Map([
    ['a:0', [1, 2]],
    ['b:0', [1, 3]],
    ['c:0', [1, 3]],
  ]);
  return new ChannelClasses(shapes);
}

test('tied channels are one class, through others too', () => {
  const sets = classes();
  sets.tie(ref('a'), 1, ref('b'), 2);
  sets.tie(ref('b'), 2, ref('c'), 0);
  expect(sets.find('a:0', 1)).toBe(sets.find('c:0', 0));
  expect(sets.find('a:0', 0)).not.toBe(sets.find('a:0', 1));
  expect(sets.find('b:0', 0)).not.toBe(sets.find('c:0', 0));
});

test('a class is pinned if one of its channels is, before or after they are tied', () => {
  const sets = classes();
  sets.pin(ref('a'));
  sets.tie(ref('a'), 0, ref('b'), 0);
  sets.tie(ref('b'), 1, ref('c'), 1);
  sets.tie(ref('c'), 2, ref('b'), 2);
  sets.pin(ref('c'));
  const pinned = (key: string, channel: number) => sets.isPinned(sets.find(key, channel)!);
  expect([0, 1, 2].map((channel) => pinned('b:0', channel))).toEqual([true, true, true]);
});

test('a tensor without a rule has no class', () => {
  expect(classes().find('a:0', 0)).toBeUndefined();
});

test('a channel that a tensor is not known to have has no class, rather than that of another tensor', () => {
  const sets = new ChannelClasses(
    new Map([
      ['unknown:0', [2, -1]],
      ['known:0', [2, 3]],
    ]),
  );
  sets.add(ref('unknown'));
  sets.add(ref('known'));
  expect(sets.find('unknown:0', 0)).toBeUndefined();
  expect(sets.find('known:0', 3)).toBeUndefined();
  expect(sets.find('known:0', 2)).toBeDefined();
});
