/**
 * The log as lines on a stream: JSON for machines, readable text where the stream is a terminal.
 *
 *   {"level":"info","time":"2026-03-01T12:00:00.000Z","event":"segment rolled","topic":"orders","partition":0}
 *
 * Standard output, as Kafka does: a broker has no other output, and containers and service managers collect it.
 * Written synchronously, so that the last line before a crash is there. Where lines find no room (the log is a file on a
 * full disk) the broker goes on: a mebibyte of them waits, of the rest only the number is told. A field that holds an error shows its type,
 * message, stack and causes, under whatever name it comes. The formatter for terminals is loaded for terminals only.
 */
import { createRequire } from 'node:module'
import {
  type DestinationStream,
  destination,
  type Level,
  pino,
  stdSerializers,
  stdTimeFunctions,
} from 'pino'
import type { LogFields, Logger } from './logger.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** Where lines go; `process.stdout` is one. */
export interface LogStream {
  readonly isTTY?: boolean
  write(line: string): unknown
}

const STDOUT = 1
/** What waits while nothing can be written. */
const MAX_WAITING_BYTES = 1024 * 1024
/** What a line says itself. */
const RESERVED: ReadonlySet<string> = new Set(['level', 'time', 'event'])

/** Without a stream: standard output. */
export function createLogger(options: { level: LogLevel; stream?: LogStream }): Logger {
  const { level, stream } = options
  const lost = (lines: number) =>
    log('warn')('log lines lost, they could not be written', { lines })
  const logger = pino(
    {
      level,
      base: null,
      messageKey: 'event',
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
    },
    target(stream, lost),
  )
  const log = (at: Level) => {
    if (!logger.isLevelEnabled(at)) return () => {}
    return (event: string, fields?: LogFields) => logger[at](line(event, fields))
  }
  return { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') }
}

function target(stream: LogStream | undefined, lost: (lines: number) => void): DestinationStream {
  const isTerminal = stream === undefined ? process.stdout.isTTY : stream.isTTY
  const lines: DestinationStream =
    stream === undefined ? standardOutput(lost) : { write: text => void stream.write(text) }
  if (isTerminal !== true) return lines
  const format = readable()
  return { write: text => lines.write(format(text)) }
}

/** `lost` is told of lines that were given up, once lines can be written again. */
function standardOutput(lost: (lines: number) => void): DestinationStream {
  const lines = destination({ dest: STDOUT, sync: true, maxLength: MAX_WAITING_BYTES })
  let dropped = 0
  // Without a listener the first line that finds no room would end the process. What waits goes with the next line.
  lines.on('error', () => {})
  lines.on('drop', () => {
    dropped += 1
    // What does not fit is not written: this has it try what waits.
    lines.write('')
  })
  lines.on('drain', () => {
    const count = dropped
    dropped = 0
    if (count > 0) lost(count)
  })
  return lines
}

/**
 * From a line of JSON to readable text. The library's own stream would pass through Node's streams and lose the last
 * lines. Clients choose some of the words that we log; in a terminal their control characters would be obeyed.
 */
function readable(): (line: string) => string {
  const { prettyFactory } = createRequire(import.meta.url)(
    'pino-pretty',
  ) as typeof import('pino-pretty')
  const format = prettyFactory({
    colorize: true,
    messageKey: 'event',
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
  })
  return line => format(JSON.parse(line, (_, value) => withoutControls(value)))
}

function withoutControls(value: unknown): unknown {
  if (typeof value !== 'string') return value
  return value.replace(/[^\P{Cc}\n\t]/gu, control => {
    return `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
}

/** The event comes before its fields, and no field can replace what the line itself says. */
function line(event: string, fields: LogFields | undefined): Record<string, unknown> {
  const result: Record<string, unknown> = { event }
  for (const name in fields) {
    result[RESERVED.has(name) ? `field.${name}` : name] = printable(fields[name])
  }
  return result
}

function printable(value: unknown): unknown {
  if (value instanceof Error) return stdSerializers.err(value)
  return typeof value === 'bigint' ? value.toString() : value
}
