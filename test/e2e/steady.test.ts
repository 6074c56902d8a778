/** The steady load of test/soak/steady.test.ts for as long as this tier has it. */
import '../soak/steady.test.ts'
