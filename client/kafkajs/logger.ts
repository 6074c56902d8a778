/** kafkajs's logger: levels, namespaces, and a `logCreator` of the application's; without one, lines of JSON on the console. */
import type { Clock } from '../../protocol/io.ts'
import { logLevel } from './constants.ts'

export interface LoggerEntryContent {
  readonly timestamp: string
  readonly message: string
  readonly [key: string]: unknown
}

export interface LogEntry {
  readonly namespace: string
  readonly level: logLevel
  readonly label: string
  readonly log: LoggerEntryContent
}

export type logCreator = (level: logLevel) => (entry: LogEntry) => void

type LogFunction = (message: string, extra?: object) => void

export interface Logger {
  readonly info: LogFunction
  readonly error: LogFunction
  readonly warn: LogFunction
  readonly debug: LogFunction
  readonly namespace: (namespace: string, level?: logLevel) => Logger
  /** Of the root and of all namespaces without a level of their own. */
  readonly setLogLevel: (level: logLevel) => void
}

const onConsole: logCreator = () => {
  const { ERROR, WARN, INFO, DEBUG } = logLevel
  const ways = new Map<logLevel, (line: string) => void>([
    [ERROR, line => console.error(line)],
    [WARN, line => console.warn(line)],
    [INFO, line => console.info(line)],
    [DEBUG, line => console.log(line)],
  ])
  return ({ namespace, level, label, log }) => {
    const message = namespace ? `[${namespace}] ${log.message}` : log.message
    ways.get(level)?.(JSON.stringify({ level: label, ...log, message }))
  }
}

export function createLogger(
  clock: Clock,
  level: logLevel = logLevel.INFO,
  creator: logCreator = onConsole,
): Logger {
  let rootLevel = level
  const write = creator(level)
  const setLogLevel = (newLevel: logLevel) => {
    rootLevel = newLevel
  }
  const named = (namespace: string, own: logLevel | null): Logger => {
    const at =
      (label: 'INFO' | 'ERROR' | 'WARN' | 'DEBUG'): LogFunction =>
      (message, extra = {}) => {
        if (logLevel[label] > (own ?? rootLevel)) return
        const timestamp = new Date(clock.nowMs()).toISOString()
        const log = { timestamp, logger: 'kafkajs', message, ...extra }
        write({ namespace, level: logLevel[label], label, log })
      }
    return {
      info: at('INFO'),
      error: at('ERROR'),
      warn: at('WARN'),
      debug: at('DEBUG'),
      namespace: (name, ownLevel) => named(name, ownLevel ?? null),
      setLogLevel,
    }
  }
  return named('', null)
}
