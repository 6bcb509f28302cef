// Opens pages in a headless Chromium as it is told, one line of JSON for each: `{"page", "check", "at"}` in, what the check found
// out. Nothing is expected here.
const readline = require("node:readline");
const { chromium } = require("playwright-core");

async function main() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
  const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
  say({ version: browser.version() });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { page: address, check, at } = JSON.parse(line);
    const page = await browser.newPage();
    await page.exposeFunction("begun", () => say({ begun: true }));
    try {
      await page.goto(address);
      say({ found: await page.evaluate(([name, where]) => window.check(name, where), [check, at]) });
    } catch (error) {
      say({ failed: String(error) });
    }
    await page.close();
  }
  await browser.close();
}

main();
