/**
 * Where a client tells what happens to it: a logger with three of the methods that pino's has, and that the console has, too. Every line has the client's id, and where they are known broker, API, topic, partition and group; never
 * keys, values or headers of records.
 *
 *   warn   somebody should look: attempts that keep failing, partitions lost, a topic that is missing, a producer fenced
 *   info   connections, leaders that move, rebalances
 *   debug  every attempt that failed and is repeated
 */

export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

export const silent: Logger = { debug() {}, info() {}, warn() {} }

/** What a `Client` does without a logger: a line on standard error for what somebody should look at. */
export const warnings: Logger = {
  debug() {},
  info() {},
  warn: (fields, message) => console.warn(lineOf(fields, message)),
}

function lineOf(fields: object, message: string): string {
  const parts = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  return `ottla: ${message} (${parts.join(' ')})`
}

/** Whether it can be called as one. */
export function isLogger(given: unknown): given is Logger {
  if (typeof given !== 'object' || given === null) return false
  const methods = given as { readonly [name: string]: unknown }
  return ['debug', 'info', 'warn'].every(name => typeof methods[name] === 'function')
}
