import { setCurrentDetails } from '@temporalio/workflow';

/** A check list of an operation's steps, as the Temporal UI shows it under "current details". */
export class Progress {
  private readonly lines = new Map<string, 'doing' | 'done'>();

  /** @param title Markdown */
  constructor(private readonly title: string) {}

  begin(what: string): void {
    this.lines.set(what, 'doing');
    this.show();
  }

  done(what: string): void {
    this.lines.set(what, 'done');
    this.show();
  }

  /** Shows the step while it runs, and that it is done when it did not fail. */
  async step<T>(what: string, run: () => Promise<T>): Promise<T> {
    this.begin(what);
    const result = await run();
    this.done(what);
    return result;
  }

  private show(): void {
    const lines = [...this.lines].map(([what, state]) => `- [${state === 'done' ? 'x' : ' '}] ${what}`);
    setCurrentDetails(`**${this.title}**\n\n${lines.join('\n')}`);
  }
}
