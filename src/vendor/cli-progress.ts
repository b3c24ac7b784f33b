/** Progress bars. */
export { SingleBar } from 'cli-progress';
