import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readServices } from '../../../src/embedded/vespa/package/buildModel.js';
import {
  CONTAINER_CLUSTER,
  CONTENT_CLUSTER,
  contentClusterOf,
  editServices,
  initialServices,
  mappedSchemas,
} from '../../../src/vespa/package/services.js';

/** As somebody else wrote it: tabs, comments with mappings in them, other clusters, attributes in any order, `>` in values. */
const foreign = `<?xml version='1.0' encoding="utf-8"?>
<!-- <content id="old"><documents><document type="ghost"/></documents></content> -->
<services version="1.0" xmlns:deploy="vespa" xmlns:preprocess="properties">
\t<admin version="2.0"><adminserver hostalias="node1"/></admin>
\t<container id="feed" version="1.0">
\t\t<document-api/>
\t\t<document-processing><chain id="c"><documentprocessor id="x.Y"/></chain></document-processing>
\t\t<nodes><node hostalias="node1"/></nodes>
\t</container>
\t<content version='1.0' id='library'>
\t\t<redundancy>2</redundancy>
\t\t<documents garbage-collection="true" garbage-collection-interval='3600'>
\t\t\t<document mode="index" type="music" selection="music.year > 1999"/>
\t\t\t<document type='books' mode='streaming'></document>
\t\t\t<!-- <document type="films" mode="index"/> was here -->
\t\t\t<document
\t\t\t\ttype="papers"
\t\t\t\tglobal="true"
\t\t\t\tmode="index" /><document type="notes" mode="store-only"/>
\t\t\t<document-processing cluster="feed" chain="c"/>
\t\t</documents>
\t\t<nodes><node hostalias="node1" distribution-key="0"/></nodes>
\t</content>
</services>
`;

const acme = 'video_colpali_smol500_mv_frame_acme';
const edit = (text: string, add: string[], remove: string[] = []) => editServices(text, { add, remove });

describe('initialServices', () => {
  it('maps the schemas to one content cluster beside one container with search and document-api', () => {
    expect(readServices(initialServices(['a_x', 'b_x']))).toEqual({
      containerCluster: CONTAINER_CLUSTER,
      contentCluster: CONTENT_CLUSTER,
      types: ['a_x', 'b_x'],
    });
    expect(initialServices([])).toMatch(/<search\/>\s*<document-api\/>/);
    expect(mappedSchemas(initialServices([]))).toEqual([]);
  });

  it('is what adding them one by one to an empty one gives', () => {
    expect(edit(edit(initialServices([]), ['a_x']), ['b_x'])).toBe(initialServices(['a_x', 'b_x']));
  });
});

describe('mappedSchemas', () => {
  it('finds every mapping and none in comments', () => {
    expect(mappedSchemas(foreign)).toEqual(['music', 'books', 'papers', 'notes']);
    expect(mappedSchemas(foreign)).toEqual(readServices(foreign).types);
  });

  it('does not take an element of another name for a mapping', () => {
    const text = initialServices([]).replace(
      '<documents>',
      '<documents><document-processing type="no" cluster="x"/>',
    );
    expect(mappedSchemas(text)).toEqual([]);
  });

  it.each([
    ['none', initialServices([]).replaceAll('documents>', 'docs>')],
    ['one that closes itself', initialServices([]).replace(/<documents>\s*<\/documents>/, '<documents/>')],
    [
      'two',
      initialServices([]).replace(
        '</services>',
        '<content id="b"><documents></documents></content></services>',
      ),
    ],
    [
      'one outside of content only',
      '<services><container id="c"><documents></documents></container></services>',
    ],
    [
      'one in a comment only',
      '<services><content id="c"><!-- <documents></documents> --></content></services>',
    ],
    ['nothing at all', ''],
  ])('refuses services.xml with %s', (_, text) => {
    expect(() => mappedSchemas(text)).toThrow(expect.objectContaining({ type: 'Rejected' }));
    expect(() => edit(text, [acme])).toThrow(expect.objectContaining({ type: 'Rejected' }));
  });
});

describe('editServices', () => {
  it('adds a line in the file’s own indentation and touches nothing else', () => {
    const edited = edit(foreign, [acme]);
    const line = `\t\t  <document type="${acme}" mode="index"/>\n`;
    expect(edited.split(line)).toHaveLength(2);
    expect(edited.replace(line, '')).toBe(foreign);
    expect(readServices(edited).types).toEqual(['music', 'books', 'papers', 'notes', acme]);
  });

  it('does not add what is there, in whatever form, and takes nothing out that is not there', () => {
    expect(edit(foreign, ['music', 'books', 'papers', 'notes'], ['films', 'ghost', 'no_such'])).toBe(foreign);
  });

  it('adds what is there in a comment only', () => {
    expect(mappedSchemas(edit(foreign, ['films']))).toContain('films');
  });

  it('takes out exactly the one asked for, whatever its form', () => {
    const gone = (type: string) => edit(foreign, [], [type]);
    expect(gone('music')).toBe(
      foreign.replace('\t\t\t<document mode="index" type="music" selection="music.year > 1999"/>\n', ''),
    );
    expect(gone('books')).toBe(
      foreign.replace("\t\t\t<document type='books' mode='streaming'></document>\n", ''),
    );
    expect(gone('papers')).toBe(foreign.replace(/<document\n\t+type="papers"[^>]*>/, ''));
    expect(gone('notes')).toBe(foreign.replace('<document type="notes" mode="store-only"/>', ''));
  });

  it('adds and takes out at once', () => {
    const edited = edit(foreign, ['x_new', 'y_new'], ['books', 'notes']);
    expect(readServices(edited).types).toEqual(['music', 'papers', 'x_new', 'y_new']);
  });

  it('does not confuse names that begin or end alike', () => {
    const text = initialServices(['frame_acme', 'frame_acme_corp', 'frame', 'my_frame_acme']);
    expect(mappedSchemas(edit(text, [], ['frame_acme']))).toEqual([
      'frame_acme_corp',
      'frame',
      'my_frame_acme',
    ]);
  });

  // Files of every shape: `documents` on one line or many, CRLF, tabs, comments, text around.
  const name = fc.stringMatching(/^[a-z][a-z0-9_]{0,6}$/);
  const gap = fc.stringMatching(/^(\r?\n)?[ \t]{0,4}$/);
  const element = (type: string) =>
    fc.constantFrom(
      `<document type="${type}" mode="index"/>`,
      `<document mode='index'  type='${type}' />`,
      `<document type="${type}"></document>`,
      `<document type="${type}" selection="${type}.a > 1 and ${type}.b == '/>'"/>`,
      `<document\n type = "${type}"\n global="true">\n</document>`,
      `<document type="${type}" mode="index"/><!-- not <document type="zz_${type}"/> -->`,
    );
  const file = fc
    .uniqueArray(name, { maxLength: 6 })
    .chain((types) =>
      fc.record({
        types: fc.constant(types),
        elements: fc.tuple(...types.map((type) => fc.tuple(gap, element(type)))),
        end: gap,
        open: fc.constantFrom('<documents>', '<documents garbage-collection="true" selection="a.x > 3">'),
        container: fc.boolean(),
      }),
    )
    .map(({ types, elements, end, open, container }) => ({
      types,
      text: `<services version="1.0">${container ? '<container id="c"><document-api/></container>' : ''}
<content id="k" version="1.0">${open}${elements.flat().join('')}${end}</documents></content></services>`,
    }));

  it('reads every file as an XML parser does', () => {
    fc.assert(
      fc.property(file, ({ text, types }) => {
        expect(mappedSchemas(text)).toEqual(types);
        expect(readServices(text).types).toEqual(types);
      }),
      { numRuns: 500 },
    );
  });

  it('adding and taking out again gives back every byte', () => {
    fc.assert(
      fc.property(file, fc.uniqueArray(name, { minLength: 1, maxLength: 4 }), ({ text, types }, names) => {
        const add = names.filter((n) => !types.includes(n));
        const added = edit(text, add);
        expect(readServices(added).types).toEqual([...types, ...add]);
        expect(edit(added, [], add)).toBe(text);
      }),
      { numRuns: 1000 },
    );
  });

  it('taking out leaves the others in order and only ever deletes', () => {
    fc.assert(
      fc.property(file, fc.array(fc.nat(5), { maxLength: 3 }), ({ text, types }, picks) => {
        const remove = picks.flatMap((i) => types[i] ?? []);
        const edited = edit(text, [], remove);
        expect(readServices(edited).types).toEqual(types.filter((type) => !remove.includes(type)));
        expect(isSubsequence(edited, text)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe('contentClusterOf', () => {
  it('is the id of the content cluster, not of the container or of one in a comment', () => {
    expect(contentClusterOf(foreign)).toBe('library');
    expect(contentClusterOf(initialServices([]))).toBe(CONTENT_CLUSTER);
  });
});

function isSubsequence(part: string, whole: string): boolean {
  let at = 0;
  for (const char of whole) if (part[at] === char) at++;
  return at === part.length;
}
