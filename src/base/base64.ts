/** Text as TensorFlow's JSON has it: UTF-8 in Base64. */

/** Lenient, as Node.js and TF.js are: letters of URLs are taken, and what is no letter is left out. */
export function fromBase64(text: string): string {
  const letters = text
    .replaceAll('-', '+')
    .replaceAll('_', '/')
    .replace(/[^\w+/]/g, '');
  // A letter alone is no byte.
  const whole = letters.length % 4 === 1 ? letters.slice(0, -1) : letters;
  return new TextDecoder().decode(Uint8Array.from(atob(whole), (letter) => letter.charCodeAt(0)));
}

export function toBase64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
