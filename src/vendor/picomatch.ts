/** Patterns of names. */
export { default } from 'picomatch';
