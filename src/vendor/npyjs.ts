/** Arrays of NumPy. */
export { type NpyArray, parse } from 'npyjs';
