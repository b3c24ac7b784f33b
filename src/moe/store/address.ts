/** Addresses in messages: without user, password, query and fragment, which may be secret. */

/** Shown in the place of an address whose parts cannot be told apart. */
export const WITHHELD = '(an address that is not shown, as it may have a password)';

/** The address of a web server. */
export function shownHttp(url: string): string {
  try {
    const { origin, pathname, search } = new URL(url);
    if (origin === 'null') return WITHHELD;
    return `${origin}${pathname}${search === '' ? '' : '?...'}`;
  } catch {
    return WITHHELD;
  }
}

/** The address of a Redis server; also of one that is malformed, where its parts can be told apart. */
export function shownRedis(url: string): string {
  try {
    const { protocol, host, pathname, search, hash } = new URL(url);
    // A password with a / ? or # that was not escaped would stand for the host.
    const isOdd = (pathname + search + hash).includes('@');
    if (host !== '' && !isOdd) return `${protocol}//${host}${/^\/\d+$/.test(pathname) ? pathname : ''}`;
  } catch {
    // Nothing but hosts and user information: what follows the last @ is a host.
    const [, protocol, host] = /^(\w+:\/\/)[^?#/]*@([\w.-]+(?::\w*)?)$/.exec(url) ?? [];
    if (host !== undefined) return protocol + host;
  }
  return WITHHELD;
}
