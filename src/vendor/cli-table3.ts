/** Tables for terminals. */
export { default } from 'cli-table3';
