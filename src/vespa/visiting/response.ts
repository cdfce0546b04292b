import type { AnswerStream } from '../feeding/answerStream.js';
import { NoAnswer } from '../http.js';
import { LineSplitter } from './lines.js';

/** One response did not come to its end as it should; the visit goes on from an earlier place. */
export class VisitCut extends Error {
  override readonly name = 'VisitCut';

  constructor(
    message: string,
    readonly retryAfter?: string,
  ) {
    super(message);
  }
}

/**
 * The server counted other documents than it sent, so that some of this response, nobody knows which, are missing:
 * releases before January 2025 lost documents of streamed visits that way.
 */
export class VisitMiscounted extends Error {
  override readonly name = 'VisitMiscounted';
}

export type Heard =
  | { readonly kind: 'lines'; readonly lines: readonly Buffer[]; readonly bytes: number }
  | { readonly kind: 'continuation'; readonly token: string | undefined; readonly percent: number };

interface ControlLine {
  readonly continuation?: { readonly token?: string; readonly percentFinished?: number };
  readonly sessionStats?: { readonly documentCount?: number };
  readonly documentCount?: number;
  readonly message?: string | { readonly text?: string; readonly severity?: string };
}

const BRACE = '}'.charCodeAt(0);
const PUT = Buffer.from('{"put":"');
const REMOVE = Buffer.from('{"remove":"');

/**
 * One response of JSON lines. Documents are told from the rest by how their line begins, and are never parsed. The status
 * is 200 whatever happens later: only the last lines say how it ended.
 */
export class VisitResponse {
  private received = 0;
  private counted: number | undefined;
  private message: string | undefined;
  /** The last continuation, unless documents came after it. */
  private last: { readonly token: string | undefined } | undefined;
  private readonly splitter = new LineSplitter();
  private pending: Heard[] = [];
  private lines: Buffer[] = [];
  private bytes = 0;

  constructor(
    private readonly stream: AnswerStream,
    private readonly includeRemoves: boolean,
  ) {}

  /** Reads it to its last byte. @throws VisitCut */
  async *events(): AsyncGenerator<Heard> {
    try {
      for (let chunks = await this.read(); chunks !== undefined; chunks = await this.read()) {
        for (const chunk of chunks) this.splitter.push(chunk, (line) => this.line(line));
        this.flush();
        const heard = this.pending;
        this.pending = [];
        yield* heard;
      }
    } finally {
      this.stream.abort(new Error('the visit is not read any further'));
    }
  }

  /**
   * How a response that was read to its last byte ended.
   *
   * @returns the token to go on from, undefined when the visit is finished
   * @throws VisitCut, VisitMiscounted
   */
  end(): string | undefined {
    if (this.message !== undefined) throw new VisitCut(this.message);
    if (this.splitter.unfinished || this.last === undefined || this.counted === undefined)
      throw new VisitCut('the response ended before its last word');
    if (this.counted !== this.received)
      throw new VisitMiscounted(`the server counted ${this.counted} documents and sent ${this.received}`);
    return this.last.token;
  }

  private async read(): Promise<readonly Buffer[] | undefined> {
    try {
      return await this.stream.read();
    } catch (error) {
      throw error instanceof NoAnswer ? new VisitCut(error.message) : error;
    }
  }

  private line(line: Buffer): void {
    if (line.length === 0) return;
    const isPut = beginsWith(line, PUT);
    if (!isPut && !beginsWith(line, REMOVE)) return this.control(line);
    if (line[line.length - 1] !== BRACE) throw new VisitCut('the server sent half a document');
    this.received++;
    this.last = undefined;
    if (!isPut && !this.includeRemoves) return;
    this.lines.push(line);
    this.bytes += line.length;
  }

  private control(line: Buffer): void {
    let said: ControlLine;
    try {
      said = JSON.parse(line.toString('utf8')) as ControlLine;
    } catch {
      throw new VisitCut(`the server sent a line that is no JSON: ${line.toString('utf8', 0, 100)}`);
    }
    const { continuation, message } = said;
    if (continuation !== undefined) {
      this.flush();
      this.last = { token: continuation.token };
      this.pending.push({
        kind: 'continuation',
        token: continuation.token,
        percent: continuation.percentFinished ?? 0,
      });
    } else if (message !== undefined) {
      if (typeof message === 'string') this.message = message;
      // Without a severity it is of the releases that sent errors only.
      else if (message.severity === undefined || message.severity === 'error')
        this.message = message.text ?? 'Vespa says error';
    } else this.counted = said.sessionStats?.documentCount ?? said.documentCount ?? this.counted;
  }

  private flush(): void {
    if (this.lines.length === 0) return;
    this.pending.push({ kind: 'lines', lines: this.lines, bytes: this.bytes });
    this.lines = [];
    this.bytes = 0;
  }
}

/** A loop, as a call into the runtime costs more than so few bytes. */
function beginsWith(line: Buffer, start: Buffer): boolean {
  for (let at = 0; at < start.length; at++) if (line[at] !== start[at]) return false;
  return true;
}
