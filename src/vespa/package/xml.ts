/** An element of an XML text with its place in it, in characters. */
export interface XmlElement {
  readonly name: string;
  /** Name of the element around it. */
  readonly parent: string | undefined;
  /** Values as they are written: entities stay. */
  readonly attributes: ReadonlyMap<string, string>;
  readonly start: number;
  /** Where its end tag begins; absent for an element that closes itself. */
  readonly bodyEnd?: number;
  readonly end: number;
}

/** A tag. Quoted values are skipped as a whole: a `selection` may hold `>` and even `/>`. */
const TAG = /<(\/?)([A-Za-z_][\w:.-]*)((?:"[^"]*"|'[^']*'|[^"'<>])*?)(\/?)>/g;
const ATTRIBUTE = /([A-Za-z_][\w:.-]*)\s*=\s*(?:"([^"]*)"|'([^']*)')/g;
/** Text in which a tag is no tag. */
const OPAQUE = /<!--[\s\S]*?-->|<!\[CDATA\[[\s\S]*?\]\]>|<\?[\s\S]*?\?>/g;

/**
 * Finds every element with its position, in document order, for edits that must leave all other bytes alone; a parser
 * that builds a tree forgets them. The server has accepted the text before: what is not well-formed gives fewer elements.
 */
export function elementsOf(xml: string): XmlElement[] {
  const text = xml.replace(OPAQUE, (piece) => ' '.repeat(piece.length));
  const open: Omit<XmlElement, 'end'>[] = [];
  const elements: XmlElement[] = [];
  for (const match of text.matchAll(TAG)) {
    const [tag, slash, name, attributeText, closesItself] = match as unknown as string[];
    const [start, end] = [match.index, match.index + tag!.length];
    if (slash === '/') {
      const opened = open.pop();
      if (opened === undefined || opened.name !== name) break;
      elements.push({ ...opened, bodyEnd: start, end });
      continue;
    }
    const attributes = new Map(
      [...attributeText!.matchAll(ATTRIBUTE)].map(([, key, double, single]) => [key!, double ?? single!]),
    );
    const element = { name: name!, parent: open.at(-1)?.name, attributes, start };
    if (closesItself === '/') elements.push({ ...element, end });
    else open.push(element);
  }
  return elements.toSorted((a, b) => a.start - b.start);
}
