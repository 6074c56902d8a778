/** `ottla broker`: runs a broker in this process until it is told to stop. */
import type { Command } from 'commander'
import type { RunBrokerOptions } from '../broker/main.ts'
import type { CliContext } from './context.ts'
import { collect, portNumber } from './options.ts'

interface BrokerOptions {
  readonly override?: readonly string[]
  readonly port?: number
  readonly dataDir?: string
  readonly printConfig?: boolean
  readonly verbose?: boolean
}

export function registerBroker(program: Command, context: CliContext): void {
  program
    .command('broker')
    .description('run a broker until SIGINT or SIGTERM')
    .argument('[server.properties]', "a file with settings, by Kafka's names")
    .option('--override <key=value>', 'one setting; may be repeated', collect)
    .option('--port <number>', 'listen on localhost at this port (default: 9092)', portNumber)
    .option('--data-dir <dir>', 'where topics and records are kept (default: ./ottla-data)')
    .option('--print-config', 'show each setting, its value and where it comes from, and exit')
    .option('--verbose', 'log more')
    .action(async (file: string | undefined, options: BrokerOptions) => {
      const { override: overrides = [], port, dataDir, printConfig, verbose } = options
      const given: RunBrokerOptions = {
        overrides,
        ...(verbose === true ? { logLevel: 'debug' } : {}),
        ...(file === undefined ? {} : { file }),
        ...(port === undefined ? {} : { port }),
        ...(dataDir === undefined ? {} : { dataDir }),
      }
      if (printConfig === true) await context.printConfig(given)
      else await context.runBroker(given)
    })
}
