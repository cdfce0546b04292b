import type { LLM } from 'mem0ai/oss';
import { z } from 'zod';
import { OpsError } from '../domain/errors.js';
import { EndpointError } from '../guardedJson.js';
import { chat } from '../llm.js';
import { currentAdd } from './addRun.js';
import { checkText } from './input.js';

/** An OpenAI-compatible endpoint that takes the facts out of a text. */
export interface LlmEndpoint {
  readonly baseUrl: string;
  readonly model: string;
  readonly apiKey: string;
}

const WHAT = "the tenant's LLM";
const TIMEOUT_MS = 120_000;

/** What Mem0's prompt asks for; a fact's other fields are Mem0's affair. */
const factsAnswer = z.object({ memory: z.array(z.looseObject({ text: z.string() })) });
const NONE = '{"memory":[]}';

/**
 * Mem0's LLM. Its own clients go to any address, and it takes an answer that it cannot read for one without facts: here the
 * address is guarded, as a tenant chose it, and such an answer is a failure of the add.
 *
 * @param llm undefined: adds that would ask it are refused before
 */
export function factsLlm(llm: LlmEndpoint | undefined, allowedPrivate: readonly string[]): LLM {
  return {
    async generateResponse(messages) {
      try {
        if (llm === undefined) throw new Error('there is no LLM');
        const of = (role: string) => messages.find((message) => message.role === role)?.content ?? '';
        const { baseUrl, model, apiKey: token } = llm;
        const endpoint = { baseUrl, model, token, allowedPrivate, timeoutMs: TIMEOUT_MS };
        return checked(await chat(endpoint, of('system'), of('user')));
      } catch (error) {
        currentAdd().failed(opsErrorOf(error));
        return NONE;
      }
    },
    generateChat: () => Promise.reject(new Error('Mem0 does not chat here')),
  };
}

/** @throws OpsError `Rejected` for what is no list of facts, or holds one that could not be stored */
function checked(answer: unknown): string {
  const read = factsAnswer.safeParse(answer);
  if (!read.success) throw rejected('its answer is no list of facts');
  const memory = read.data.memory.filter(({ text }) => text.trim() !== '');
  for (const { text } of memory) {
    try {
      checkText(text, 'a fact');
    } catch (error) {
      throw rejected((error as Error).message);
    }
  }
  return JSON.stringify({ memory });
}

function opsErrorOf(error: unknown): unknown {
  if (!(error instanceof EndpointError)) return error;
  return error.mayPass
    ? new OpsError('Unavailable', `${WHAT}: ${error.message}`, 'see that it answers, then try again')
    : rejected(error.message);
}

function rejected(why: string): OpsError {
  return new OpsError(
    'Rejected',
    `${WHAT}: ${why}`,
    "check llm_base_url, llm_model and llm_api_key of the tenant's configuration, or add the text as it is",
  );
}
