import { consumers, GraphEditor, output } from '../../src/graph/edit';
import type { Graph } from '../../src/graph/ir';
import { FloatGraph } from '../support/float-graph';
import { forEachCase, type Random } from '../support/random';

/** A chain of sums, each of two tensors before it. */
function sums(random: Random, count: number): Graph {
  const graph = new FloatGraph(random).input('n0', [4]);
  for (let i = 1; i <= count; i++) {
    graph.node(`n${i}`, 'AddV2', [`n${random.int(0, i - 1)}`, `n${random.int(0, i - 1)}`]);
  }
  return graph.build(`n${count}`);
}

test('the editor knows who reads what, whatever is edited in between', async () => {
  await forEachCase('edits', 50, (random) => {
    const graph = sums(random, 12);
    const editor = new GraphEditor(graph);
    for (let edit = 0; edit < 12; edit++) {
      const [node, earlier] = [random.int(2, 12), random.int(0, 1)];
      if (random.int(0, 1)) editor.replaceUses(output(`n${node}`), output(`n${earlier}`));
      else editor.setNode({ ...graph.nodes.get(`n${node}`)!, op: 'Relu', inputs: [output(`n${earlier}`)] });
      const uses = consumers(editor);
      for (const name of graph.nodes.keys()) {
        const expected = uses.get(name) ?? [];
        expect(editor.countReads(name)).toBe(expected.length);
        expect(new Set(editor.readers(name))).toEqual(new Set(expected));
      }
    }
  });
});

test('a node that reads a removed one is named', () => {
  const editor = new GraphEditor(
    new FloatGraph({} as Random).input('x', [1]).node('a', 'Relu', ['x']).node('b', 'Abs', ['a']).build('b'),
  );
  editor.remove('a');
  expect(() => editor.finish()).toThrow("Abs 'b' reads 'a', which was removed.");
});
