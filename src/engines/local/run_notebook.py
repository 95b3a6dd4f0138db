"""Runs a notebook to its end, shows what its cells print, and saves it with all outputs as HTML.

usage: run_notebook.py NOTEBOOK HTML [ARGS...]

The cells see ARGS as sys.argv[1:]. Exits 1 when a cell fails, after showing which one and why; the HTML is saved
all the same.
"""

import asyncio
import os
import sys


def main(notebook_path, html_path, args):
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.read(notebook_path, as_version=4)
    failure = None
    client = PrintingClient.of(NotebookClient)(
        notebook, timeout=None, kernel_name=kernel_name(notebook), resources={"metadata": {"path": os.getcwd()}}
    )
    try:
        client.prepare = "import sys; sys.argv = %r" % ([notebook_path] + args)
        client.execute()
    except CellExecutionError as error:
        failure = error
    save_html(notebook, html_path)
    if failure is not None:
        print(describe(notebook, failure), file=sys.stderr)
        return 1
    return 0


def kernel_name(notebook):
    """The notebook's own kernel when the environment has it, else the environment's Python."""
    from jupyter_client.kernelspec import KernelSpecManager

    wanted = notebook.metadata.get("kernelspec", {}).get("name", "python3")
    known = KernelSpecManager().find_kernel_specs()
    return wanted if wanted in known else "python3"


class PrintingClient:
    """A NotebookClient that passes the cells' text on as it comes and runs `prepare` before the first cell."""

    @staticmethod
    def of(base):
        class Client(base):
            prepare = ""

            async def async_start_new_kernel_client(self):
                client = await super().async_start_new_kernel_client()
                reply = client.execute(self.prepare, silent=True, store_history=False)
                if asyncio.iscoroutine(reply):
                    await reply
                return client

            def output(self, outs, msg, display_id, cell_index):
                show(msg)
                return super().output(outs, msg, display_id, cell_index)

        return Client


def show(message):
    content = message["content"]
    kind = message["msg_type"]
    if kind == "stream":
        target = sys.stderr if content.get("name") == "stderr" else sys.stdout
        target.write(content["text"])
        target.flush()
    elif kind in ("execute_result", "display_data"):
        text = content.get("data", {}).get("text/plain")
        if text:
            print(text, flush=True)


def save_html(notebook, html_path):
    from nbconvert import HTMLExporter

    body, _ = HTMLExporter().from_notebook_node(notebook)
    temporary = html_path + ".tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(body)
    os.replace(temporary, html_path)


def describe(notebook, failure):
    failed = [
        (number, cell)
        for number, cell in enumerate(notebook.cells, 1)
        if cell.cell_type == "code" and any(output.output_type == "error" for output in cell.outputs)
    ]
    where = ""
    if failed:
        number, cell = failed[0]
        where = "Cell %d failed:\n%s\n" % (number, "\n".join("    " + line for line in cell.source.splitlines()))
    return "%s%s: %s" % (where, failure.ename, failure.evalue)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
