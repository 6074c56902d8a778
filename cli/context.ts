/** What the commands need of the world around them, so that tests can run them inside their own process. */
import type { RunBrokerOptions } from '../broker/main.ts'
import type { Admin } from '../client/admin.ts'
import type { Client } from '../client/client.ts'
import type { ClientOptions } from '../client/config.ts'

export interface Terminal {
  out(text: string): void
  err(text: string): void
  /** Waits until what was written has gone on: for commands whose output has no bound. */
  drained?(): Promise<void>
  /** Shows how far long work has come, in place of what it showed before; an empty text ends it. Only where a person looks. */
  status?(text: string): void
  /** Whether the output may be coloured. */
  readonly hasColours?: boolean
  /** From now on Ctrl-C aborts this in place of ending the process; a second Ctrl-C ends it. */
  interrupted?(): AbortSignal
  /** Whether a person can be asked. */
  readonly isInteractive: boolean
  /** Asks a person and gives the answer, trimmed. */
  ask(question: string): Promise<string>
  /** Standard input, or a file, line by line. */
  lines(file?: string): AsyncIterable<string>
}

export interface CliContext {
  readonly terminal: Terminal
  openAdmin(options: ClientOptions): Promise<Admin>
  openClient(options: ClientOptions): Promise<Client>
  /** Runs until the process ends; sets the process's exit code if it cannot start. */
  runBroker(options: RunBrokerOptions): Promise<void>
  /** Throws a ConfigError if the settings are wrong. */
  printConfig(options: RunBrokerOptions): Promise<void>
}

export const EXIT = { ok: 0, failed: 1, usage: 2, unreachable: 3 } as const

export const EXIT_CODES_HELP = `
Exit codes:
  0  done
  1  the cluster refused it, or it failed
  2  wrong usage or settings
  3  no broker could be reached`
