/** Tests of what people open in a browser. */
import { chromium } from '../../benchmarks/web/chromium';
import { describeIf } from './needs';

/** `describe` for tests that need Chromium. */
export function describeWithBrowser(name: string, body: () => void): void {
  describeIf(chromium !== undefined, 'Chromium, which is not installed', name, body);
}
