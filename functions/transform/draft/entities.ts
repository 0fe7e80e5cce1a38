import { isFields, readText, type Content, type Fields } from './content.ts';
import { trimWhile } from './strings.ts';

/** What a range points at, with its URL already judged. */

export type Target = Link | Image | Rule;

export interface Link {
  kind: 'link';
  url: string;
  title: string;
  /** An embed has no text of its own: it shows its URL. */
  showsUrl: boolean;
}

export interface Image {
  kind: 'image';
  /** Empty where the source is not allowed. */
  url: string;
  alt: string;
  width: string;
  height: string;
}

interface Rule {
  kind: 'rule';
}

export function findTarget(content: Content, key: unknown): Target | null {
  if (typeof key !== 'string' && typeof key !== 'number') return null;
  const name = String(key);
  let target = content.entities.get(name);
  if (target === undefined) {
    target = readTarget(content.entityMap, name);
    content.entities.set(name, target);
  }
  return target;
}

function readTarget(entityMap: unknown, name: string): Target | null {
  if (typeof entityMap !== 'object' || entityMap === null) return null;
  const property = Object.getOwnPropertyDescriptor(entityMap, name);
  const entity: unknown = property === undefined ? undefined : property.value;
  if (!isFields(entity) || typeof entity.type !== 'string') return null;
  const data = isFields(entity.data) ? entity.data : {};
  switch (entity.type.toUpperCase()) {
    case 'LINK':
      return readLink(firstText(data.url, data.href), data, false);
    case 'VIDEO':
    case 'AUDIO':
    case 'EMBED':
    case 'EMBEDDED_LINK':
      return readLink(firstText(data.src, data.url, data.href), data, true);
    case 'IMAGE':
      return {
        kind: 'image',
        url: allowedUrl(firstText(data.src, data.url), /^https?:\/\/[^/?#]/i),
        alt: readText(data.alt),
        width: readPixels(data.width),
        height: readPixels(data.height),
      };
    case 'HR':
    case 'HORIZONTAL_RULE':
    case 'DIVIDER':
      return { kind: 'rule' };
    default:
      return null;
  }
}

function readLink(address: string, data: Fields, showsUrl: boolean): Link | null {
  const url = allowedUrl(address, /^(?:https?:\/\/[^/?#]|mailto:[^?])/i);
  return url === '' ? null : { kind: 'link', url, title: readText(data.title), showsUrl };
}

function firstText(...values: unknown[]): string {
  for (const value of values) if (typeof value === 'string' && value !== '') return value;
  return '';
}

function readPixels(value: unknown): string {
  const match = /^(\d{1,5})(?:\.\d+)?(?:px)?$/.exec(readText(value));
  return match === null || match[1] === undefined ? '' : match[1];
}

/**
 * The URL, if it has an allowed beginning, with every character that could end an attribute or a Markdown link percent-encoded;
 * else ''. What browsers skip is removed before the scheme is judged, so that "java\nscript:" is seen as they would see it.
 */
function allowedUrl(address: string, beginning: RegExp): string {
  const url = trimWhile(address.replace(/[\t\n\r]/g, ''), (unit) => unit <= 32);
  if (!beginning.test(url) || url.indexOf('\\') >= 0) return '';
  // Kept: printable ASCII without " < > ^ { | } and the backtick, and the rest of Unicode without line and bidi controls.
  return url.replace(/[^!#-;=?-[\]_a-z~\xa1-\u2027\u202f-\u2065\u206a-\uffff]/g, encodeURIComponent);
}
