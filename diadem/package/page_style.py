"""The look of the page: light and dark, phone and paper. One string, so that the page needs no other file."""

STYLE = """
:root { color-scheme: light dark;
  --paper: #f5f6f8; --card: #ffffff; --ink: #1b2126; --soft: #5a656e; --line: #dde2e6; --tint: #eef1f4;
  --accent: #0a6473; --stage: #11161a; --stage-ink: #7d8b95; --note: #fdf6e3; --note-line: #d9a520; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #13171a; --card: #1c2226; --ink: #e6eaed; --soft: #9aa7b0; --line: #303a41; --tint: #232b30;
  --accent: #6cc5d4; --stage: #0b0e10; --stage-ink: #60707a; --note: #2b2718; --note-line: #b98d23; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
header, main, footer { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.25rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: .2rem 0 .6rem; letter-spacing: -.01em; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .8rem; }
h3 { font-size: 1rem; line-height: 1.35; margin: 0; }
p { margin: .5rem 0; max-width: 48rem; }
a { color: var(--accent); }
code, pre { font: .86em/1.5 ui-monospace, SFMono-Regular, Consolas, "Liberation Mono", Menlo, monospace; }
pre { background: var(--tint); border: 1px solid var(--line); border-radius: .4rem; padding: .7rem .9rem;
  margin: .5rem 0; overflow-x: auto; overflow-wrap: normal; }
pre code { font-size: inherit; }
.kind { color: var(--accent); font-weight: 600; font-size: .82rem; letter-spacing: .04em; text-transform: uppercase;
  margin: 0; }
.lead { font-size: 1.08rem; }
.said { white-space: pre-line; }
.soft { color: var(--soft); }
.figures { list-style: none; display: flex; flex-wrap: wrap; gap: .5rem; padding: 0; margin: 1rem 0 0; }
.figures li { background: var(--card); border: 1px solid var(--line); border-radius: 2rem; padding: .15rem .8rem;
  font-size: .92rem; }
.panels, .grid, .guides { display: grid; gap: 1rem; }
.guides > :first-child { grid-row: span 2; }
.panels { grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr)); margin-top: 1.5rem; }
.grid { grid-template-columns: repeat(auto-fill, minmax(min(17.5rem, 100%), 1fr)); }
.guides { align-items: start; }
.guides pre { font-size: .78rem; }
@media (min-width: 56rem) {
  .guides { grid-template-columns: minmax(0, 5fr) minmax(0, 4fr); grid-template-rows: auto 1fr; } }
.panel, .card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; min-width: 0; }
.panel { padding: .9rem 1.1rem; }
.panel h2, .panel h3 { margin: 0 0 .4rem; font-size: .98rem; }
.panel ol, .panel ul { margin: .4rem 0; padding-left: 1.2rem; font-size: .92rem; }
.card { display: flex; flex-direction: column; overflow: hidden; }
.stage { position: relative; background: var(--stage); color: var(--stage-ink); aspect-ratio: 4 / 3; display: flex;
  align-items: center; justify-content: center; font-size: 1.5rem; font-weight: 600; letter-spacing: .06em; }
.stage img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; }
.blank { background: var(--tint); color: var(--soft); }
.body { padding: .8rem 1rem 1rem; display: flex; flex-direction: column; gap: .45rem; }
.body p { margin: 0; font-size: .9rem; }
.body ul { margin: 0; padding-left: 1.1rem; font-size: .9rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .22rem .6rem .22rem 0; }
th { font-weight: 400; color: var(--soft); overflow-wrap: break-word; }
.fields { border-top: 1px solid var(--line); }
.fields, .panel table { table-layout: fixed; }
.fields th { width: 48%; }
.panel th { width: 42%; }
.fields tr + tr, .list tr { border-top: 1px solid var(--line); }
.list thead th { font-weight: 600; }
.list td, .list th { padding: .35rem .8rem .35rem 0; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: .3rem 1rem; }
.scroll table { min-width: 34rem; }
.number { text-align: right; white-space: nowrap; }
.note { background: var(--note); border-left: 3px solid var(--note-line); border-radius: .3rem; padding: .45rem .7rem;
  font-size: .9rem; }
.note p, .note ul { margin: 0; }
details summary { cursor: pointer; color: var(--accent); font-size: .9rem; }
footer { margin-top: 3rem; padding-top: 1rem; padding-bottom: 2.5rem; border-top: 1px solid var(--line);
  color: var(--soft); font-size: .88rem; }
@media (max-width: 30rem) { body { font-size: 15px; } header { padding-top: 1.25rem; } h1 { font-size: 1.5rem; } }
@media print {
  :root { color-scheme: light; --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --tint: #f4f4f4;
    --accent: #000; --stage: #fff; --stage-ink: #888; --note: #fff; --note-line: #888; }
  body { font-size: 10pt; } header, main, footer { max-width: none; padding-left: 0; padding-right: 0; }
  .grid { grid-template-columns: repeat(3, 1fr); gap: .5rem; }
  table, .body p, .body ul { font-size: 8pt; }
  .card, .panel, tr { break-inside: avoid; } h2 { break-after: avoid; }
  .stage { aspect-ratio: 3 / 2; border-bottom: 1px solid var(--line); }
  pre { white-space: pre-wrap; } .scroll { overflow: visible; } }
"""
