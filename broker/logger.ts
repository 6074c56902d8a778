/** The log of a broker: one event a line, with a fixed phrase and fields (STYLE.md). Implemented by pino in pino-logger.ts. */

export type LogFields = Readonly<Record<string, unknown>>

export interface Logger {
  debug(event: string, fields?: LogFields): void
  info(event: string, fields?: LogFields): void
  warn(event: string, fields?: LogFields): void
  error(event: string, fields?: LogFields): void
}

/** Says nothing: for brokers embedded in tests. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} }
