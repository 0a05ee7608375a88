"""How long from a slider of the studio to its picture, in headless Chromium on this machine.

    python experiments/benchmarks/studio.py RUN [--turns 15]

RUN is a generator with axes. It opens the page, turns the first slider by the keyboard, and prints the milliseconds from
the browser's input event to the new picture, their median, and the median of what the network takes alone.
"""

import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.keys import Keys

from simrefine.generating.axes import read_axes
from simrefine.generating.generator import Generator
from simrefine.studio import Studio, build_page, launch

WATCH = """
window.waits = []; window.begun = 0;
document.querySelector('input[type=range]').addEventListener('input', () => { window.begun = performance.now() });
new MutationObserver(() => {
  if (window.begun) { window.waits.push(Math.round(performance.now() - window.begun)); window.begun = 0 }
}).observe(document.querySelectorAll('.face')[1].parentElement.parentElement, {subtree: true, childList: true,
  attributes: true});
"""


def open_browser(folder: str) -> Chrome:
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in ("headless", "no-sandbox", "disable-gpu", "window-size=1400,1400", f"user-data-dir={folder}"):
        options.add_argument(f"--{flag}")
    return Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))


@click.command(help=__doc__.partition("\n")[0])
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--turns", default=15, show_default=True)
def main(run, turns):
    generator = Generator(run, batch=1)
    studio = Studio(generator, read_axes(run, generator), run)
    page, face, alone = build_page(studio, "benchmark"), studio.draw_somebody(0), []
    for turn in range(turns):
        recipe = studio.recipe([0.1 * (turn + 1)] + [0] * (len(studio.names) - 1), [False] * len(studio.names), [], 0)
        begun = time.perf_counter()
        studio.after(face, recipe)
        alone.append(1000 * (time.perf_counter() - begun))
    with TemporaryDirectory() as folder:
        browser = open_browser(folder)
        try:
            browser.get(launch(page, None))
            while not browser.find_elements("css selector", ".face img"):
                time.sleep(0.1)
            time.sleep(2)
            browser.execute_script(WATCH)
            slider = browser.find_element("css selector", "input[type=range]")
            for _ in range(turns):
                slider.send_keys(Keys.ARROW_RIGHT)
                time.sleep(1)
            waits = browser.execute_script("return window.waits")
        finally:
            browser.quit()
            page.close()
    click.echo(f"{waits} ms, median {np.median(waits):.0f}; the networks alone {np.median(alone):.0f}")


if __name__ == "__main__":
    main()
