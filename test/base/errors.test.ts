import { LowbitError } from '../../src/base/errors';

test('names with control characters and terminal escapes are harmless in messages', () => {
  const { message } = new LowbitError(
    'invalid-model',
    'node \u001b]0;title\u0007 \u009b31m\r\u0000, line 1\n\tline 2',
  );
  expect(message).toBe('node \\u001b]0;title\\u0007 \\u009b31m\\u000d\\u0000, line 1\n\tline 2');
});
