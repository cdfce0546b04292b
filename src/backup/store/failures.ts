import { OpsError } from '../../domain/errors.js';
import { quoteForMessage } from '../../domain/ids.js';

export function objectNotFound(path: string, location: string): OpsError {
  return new OpsError('NotFound', `there is no ${quoteForMessage(path)} in ${location}`);
}
