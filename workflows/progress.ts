import { setCurrentDetails } from '@temporalio/workflow';

/** A check list of an operation's steps, as the Temporal UI shows it under "current details". */
export class Progress {
  private readonly lines = new Map<string, { readonly done: boolean; readonly note: string }>();

  /** @param title Markdown */
  constructor(private readonly title: string) {}

  begin(what: string): void {
    this.lines.set(what, { done: false, note: '' });
    this.show();
  }

  /** How far a step is that has begun. */
  note(what: string, note: string): void {
    this.lines.set(what, { done: false, note });
    this.show();
  }

  /** @param note what came of it, such as counts */
  done(what: string, note = ''): void {
    this.lines.set(what, { done: true, note });
    this.show();
  }

  /** Shows the step while it runs, and that it is done when it did not fail. */
  async step<T>(what: string, run: () => Promise<T>, note?: (result: T) => string): Promise<T> {
    this.begin(what);
    const result = await run();
    this.done(what, note?.(result));
    return result;
  }

  private show(): void {
    const lines = [...this.lines].map(
      ([what, { done, note }]) => `- [${done ? 'x' : ' '}] ${what}${note && `: ${note}`}`,
    );
    setCurrentDetails(`**${this.title}**\n\n${lines.join('\n')}`);
  }
}
