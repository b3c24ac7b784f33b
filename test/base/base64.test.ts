import { fromBase64, toBase64 } from '../../src/base/base64';

const texts = ['', 'a', 'ab', 'abc', 'SAME', 'grün', '日本', '\0\x01', 'BiasAdd\nRelu6'];

test.each(texts)('%j as Node.js writes and reads it', (text) => {
  const written = Buffer.from(text, 'utf8').toString('base64');
  expect(toBase64(text)).toBe(written);
  expect(fromBase64(written)).toBe(text);
});

test.each(['U0FNRQ', 'U0FNRQ==', 'U0FN\nRQ==', 'U0FNR', '8J-YgA', '8J+YgA=='])(
  '%j is read as Node.js reads it',
  (text) => {
    expect(fromBase64(text)).toBe(Buffer.from(text, 'base64').toString('utf8'));
  },
);
