import { OpsError } from '../../domain/errors.js';

/** Cluster names of an application that we begin ourselves, as in the original. */
export const CONTAINER_CLUSTER = 'cogniverse_container';
export const CONTENT_CLUSTER = 'cogniverse_content';

/** `services.xml` of an application that does not exist yet: one container cluster, one content cluster, one node. */
export function initialServices(schemas: readonly string[]): string {
  return `<?xml version="1.0" encoding="utf-8" ?>
<services version="1.0">
  <container id="${CONTAINER_CLUSTER}" version="1.0">
    <search/>
    <document-api/>
    <nodes>
      <node hostalias="node1"/>
    </nodes>
  </container>
  <content id="${CONTENT_CLUSTER}" version="1.0">
    <redundancy>1</redundancy>
    <documents>
${schemas.map((name) => `      ${documentLine(name)}\n`).join('')}    </documents>
    <nodes>
      <node hostalias="node1" distribution-key="0"/>
    </nodes>
  </content>
</services>
`;
}

export const INITIAL_HOSTS = `<?xml version="1.0" encoding="utf-8" ?>
<hosts>
  <host name="localhost">
    <alias>node1</alias>
  </host>
</hosts>
`;

/** Document types that `services.xml` maps to a content cluster, in its order. */
export function mappedSchemas(services: string): string[] {
  const { documents } = parts(services);
  return documents.map((d) => d.type);
}

/**
 * Puts mappings in and takes mappings out, and leaves every other byte as it was: the file may be somebody else's.
 *
 * @throws OpsError `Rejected` when the file has no place for them, or more than one
 */
export function editServices(
  services: string,
  change: { readonly add: readonly string[]; readonly remove: readonly string[] },
): string {
  const { documents, insertAt } = parts(services);
  let edited = services;
  const add = change.add.filter((name) => !documents.some((d) => d.type === name));
  // From the end, so that earlier positions stay true.
  if (add.length > 0)
    edited =
      edited.slice(0, insertAt) +
      add.map((name) => `  ${documentLine(name)}\n    `).join('') +
      edited.slice(insertAt);
  for (const { type, start, end } of documents.toReversed()) {
    if (!change.remove.includes(type)) continue;
    // The whole line goes when the element was alone on it.
    const lineStart = edited.lastIndexOf('\n', start - 1) + 1;
    const alone = edited.slice(lineStart, start).trim() === '' && edited[end] === '\n';
    edited = alone
      ? edited.slice(0, lineStart) + edited.slice(end + 1)
      : edited.slice(0, start) + edited.slice(end);
  }
  return edited;
}

function documentLine(name: string): string {
  return `<document type="${name}" mode="index"/>`;
}

interface Mapping {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}

/** Finds the `<document …>` elements of the one `<documents>` of a `<content>`; comments are blanked, offsets kept. */
function parts(services: string): { documents: Mapping[]; insertAt: number } {
  const text = services.replace(/<!--[\s\S]*?-->/g, (comment) => ' '.repeat(comment.length));
  const blocks = [...text.matchAll(/<documents\b[^>]*?(\/>|>([\s\S]*?)<\/documents>)/g)].filter(
    (m) => text.lastIndexOf('<content', m.index) > text.lastIndexOf('</content', m.index),
  );
  const found = blocks[0];
  if (blocks.length !== 1 || found === undefined || found[2] === undefined) {
    throw new OpsError(
      'Rejected',
      `services.xml has ${blocks.length} <documents> in a <content> where one with an end tag is needed`,
      'keep exactly one content cluster with <documents>…</documents>',
    );
  }
  const bodyStart = found.index + found[0].indexOf('>') + 1;
  const documents = [
    ...found[2].matchAll(
      /<document\b[^>]*?\btype\s*=\s*(["'])([^"']+)\1[^>]*?(?:\/>|>[\s\S]*?<\/document>)/g,
    ),
  ].map((m) => ({
    type: m[2]!,
    start: bodyStart + m.index,
    end: bodyStart + m.index + m[0].length,
  }));
  return { documents, insertAt: bodyStart + found[2].length };
}

/** Id of the content cluster that holds the documents; `*` in a visit would only name it in an error. */
export function contentClusterOf(services: string): string {
  return (
    /<content\b[^>]*?\bid\s*=\s*(["'])([^"']+)\1/.exec(services.replace(/<!--[\s\S]*?-->/g, ''))?.[2] ??
    CONTENT_CLUSTER
  );
}
