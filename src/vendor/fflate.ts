/** Archives. */
export { Unzip, UnzipInflate } from 'fflate';
