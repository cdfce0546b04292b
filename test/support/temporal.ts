export async function temporalExecutable(): Promise<string> {
  return process.env['TEMPORAL_CLI_PATH'] ?? 'temporal';
}
