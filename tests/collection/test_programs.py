"""Files as experiment programs write them, with all their columns: each is read with its documented mapping."""

import json

import numpy as np
import pandas as pd
import pytest
from test_command import write

from encoding.cli import main
from encoding.collection.people import read_answers
from encoding.core import DataError

NAMES = [f"clip{i:02d}" for i in range(12)]
# What was shown, which slot was called odd, and how long it took (s).
TRUTH = [(("clip03", "clip00", "clip07"), 1, 1.234), (("clip05", "clip06", "clip01"), 0, 0.987),
         (("clip02", "clip11", "clip04"), 2, 2.5)]  # fmt: skip
ITEMS = [[NAMES.index(name) for name in items] for items, _, _ in TRUTH]
ODD = [row[slot] for row, (_, slot, _) in zip(ITEMS, TRUTH, strict=True)]
SECONDS = [seconds for *_, seconds in TRUTH]
SIDES = ("left", "middle", "right")


def check(found, participant, *, practice=1, tol=1e-9):
    assert found.items.tolist() == ITEMS
    assert found.odd.tolist() == ODD
    assert np.allclose(found.reaction, SECONDS, atol=tol)
    assert found.participant == [participant] * 3
    assert found.left_out.get("practice trials", 0) == practice


def quoted(value):
    """A cell as jsPsych writes it: every cell in marks, objects and null as JSON."""
    text = json.dumps(value) if value is None or isinstance(value, list | dict) else str(value)
    return '"' + text.replace('"', '""') + '"'


JSPSYCH = [
    {"success": True, "timeout": False, "failed_images": [], "trial_type": "preload", "trial_index": 0,
     "plugin_version": "2.1.0", "time_elapsed": 12, "subject": "5e9088a8"},
    {"rt": 5012, "stimulus": "<p>Which is the <b>odd one out</b>?</p>\n<p>Press a key.</p>", "response": "x",
     "trial_type": "html-keyboard-response", "trial_index": 0, "plugin_version": "2.1.0", "time_elapsed": 5013,
     "subject": "5e9088a8"},
    {"rt": 900, "stimulus": "<video>", "response": 1, "trial_type": "html-button-response", "trial_index": 1,
     "plugin_version": "2.1.0", "time_elapsed": 6000, "subject": "5e9088a8", "phase": "practice",
     "stimuli": ["v/clip00.mp4", "v/clip01.mp4", "v/clip02.mp4"]},
    *({"rt": round(1000 * seconds), "stimulus": "<video>", "response": slot, "trial_type": "html-button-response",
       "trial_index": 2 + k, "plugin_version": "2.1.0", "time_elapsed": 9000 + k, "subject": "5e9088a8",
       "phase": "main", "stimuli": [f"v/{name}.mp4" for name in items]}
      for k, (items, slot, seconds) in enumerate(TRUTH)),
    {"rt": None, "stimulus": "<video>", "response": None, "trial_type": "html-button-response", "trial_index": 5,
     "plugin_version": "2.1.0", "time_elapsed": 20000, "subject": "5e9088a8", "phase": "main",
     "stimuli": ["v/clip08.mp4", "v/clip09.mp4", "v/clip10.mp4"]},
    {"rt": 8000, "response": {"Q0": "fine, thanks\nreally"}, "trial_type": "survey-text", "trial_index": 6,
     "plugin_version": "2.1.0", "time_elapsed": 30000, "subject": "5e9088a8"},
]  # fmt: skip


def jspsych_csv(path, trials=JSPSYCH):
    columns = list(dict.fromkeys(name for trial in trials for name in trial))
    lines = [",".join(map(quoted, columns))]
    lines += [",".join(quoted(trial.get(name, "")) for name in columns) for trial in trials]
    path.write_text("\r\n".join(lines) + "\r\n", encoding="utf-8")


def test_jspsych_as_csv_as_json_and_as_lines_of_jatos(tmp_path):
    jspsych_csv(tmp_path / "a.csv")
    (tmp_path / "a.json").write_text(json.dumps(JSPSYCH), encoding="utf-8")
    second = [{**trial, "subject": "other"} for trial in JSPSYCH]
    (tmp_path / "jatos.txt").write_text(f"{json.dumps(JSPSYCH)}\n{json.dumps(second)}\n", encoding="utf-8")
    for name in ("a.csv", "a.json"):
        found = read_answers(tmp_path / name, NAMES, "jspsych", {})
        check(found, "5e9088a8")
        assert found.left_out["rows without items or answer"] == 4
    found = read_answers(tmp_path / "jatos.txt", NAMES, "jspsych", {})
    assert found.participant == ["5e9088a8"] * 3 + ["other"] * 3
    assert found.items.tolist() == ITEMS * 2


def test_jspsych_6_by_codes_of_keys(tmp_path):
    trials = [{"rt": round(1000 * seconds), "stimulus": "<img>", "key_press": 49 + slot,
               "trial_type": "html-keyboard-response", "trial_index": k, "time_elapsed": 1000 * k,
               "internal_node_id": f"0.0-1.0-{k}.0", "stimuli": list(items), "subjectId": "b1tye"}
              for k, (items, slot, seconds) in enumerate(TRUTH)]  # fmt: skip
    trials.insert(1, {"rt": None, "stimulus": "+", "key_press": None, "trial_type": "html-keyboard-response"})
    jspsych_csv(tmp_path / "a.csv", trials)
    found = read_answers(tmp_path / "a.csv", NAMES, "jspsych", {}, ("49", "50", "51"))
    check(found, "b1tye", practice=0)


def labjs():
    base = {"sender_type": "html.Screen", "timestamp": "2024-05-03T12:22:17.123Z", "meta": ""}
    base |= {"time_switch": 3010.5, "time_lock": 3010.6}
    rows = [
        {"sender": "Welcome", **base, "sender_type": "html.Page", "sender_id": "0", "response": "", "duration": 4000.1,
         "ended_on": "form submission", "meta": '{"labjs_version": "22.0.0", "location": "https://x.org/?p=1"}'},
        {"sender": "Practice trial", **base, "sender_id": "1_0", "left": "clip00", "middle": "clip01",
         "right": "clip02", "response": "left", "response_action": "click button#left", "duration": 800.0,
         "ended_on": "response"},
        *({"sender": "Trial", **base, "sender_id": f"2_{k}", **dict(zip(SIDES, items, strict=True)),
           "response": SIDES[slot], "response_action": "click button", "correct": "",
           "duration": 1000 * seconds, "ended_on": "response", "time_run": 100.5, "time_render": 101.0,
           "time_show": 117.2, "time_end": 117.2 + 1000 * seconds, "time_commit": 3000.0}
          for k, (items, slot, seconds) in enumerate(TRUTH)),
        {"sender": "Trials", **base, "sender_type": "flow.Loop", "sender_id": "2", "duration": 9000.0},
    ]  # fmt: skip
    return rows


def test_labjs_names_no_participant_but_every_file_is_one(tmp_path):
    keys = SIDES
    folder = tmp_path / "results"
    folder.mkdir()
    first = ["sender", "sender_type", "sender_id", "timestamp", "meta"]  # the others follow in alphabetical order
    frame = pd.DataFrame(labjs())
    frame = frame[[*first, *sorted(set(frame.columns) - set(first))]]
    frame.to_csv(folder / "experiment-anna.csv", index=False)
    check(read_answers(folder, NAMES, "labjs", {}, keys), "experiment-anna", tol=1e-6)
    (folder / "experiment-anna.csv").unlink()
    (folder / "ben.json").write_text(json.dumps(labjs()), encoding="utf-8")
    found = read_answers(folder, NAMES, "labjs", {}, keys)
    check(found, "ben", tol=1e-6)
    assert found.answered[0] == pytest.approx(pd.Timestamp("2024-05-03T12:22:17.123Z").timestamp())
    (folder / "ben.json").unlink()
    lines = [json.dumps(row if k else {**row, "id": "carla"}) for k, row in enumerate(labjs())]
    (folder / "data.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert read_answers(folder, NAMES, "labjs", {}, keys).items.tolist() == ITEMS


def psychopy(path, *, mouse):
    """One file of a participant, as PsychoPy 2023 writes it: bracketed clicks, a nameless last column."""
    buttons = ",".join(f"mouse.{name}Button" for name in ("left", "mid", "right"))
    answer = f"mouse.x,mouse.y,{buttons},mouse.time,mouse.clicked_name"
    answer = answer if mouse else "key_resp.keys,key_resp.rt,key_resp.duration"
    header = (
        "left,middle,right,practice_loop.thisRepN,practice_loop.thisTrialN,practice_loop.thisN,"
        "practice_loop.thisIndex,trials.thisRepN,trials.thisTrialN,trials.thisN,trials.thisIndex,thisRow.t,notes,"
        "welcome.started,"
        f"{answer},participant,session,date,expName,psychopyVersion,frameRate,expStart,"
    )
    extra = "007,001,2024-05-03_14h22.17.123,odd,2023.2.3,59.99,2024-05-03 14h22.17.123456 +0200,"
    lines = [header, ",,,,,,,,,,,0.01,,0.02," + "," * (6 if mouse else 2) + f",{extra}"]

    def row(items, slot, seconds, loops):
        if mouse:
            name = ("image_left", "image_middle", "image_right")[slot]
            cells = ("[0.1, 0.2]", "[0.0, 0.1]", "[1, 1]", "[0, 0]", "[0, 0]", f"[0.2, {seconds}]", f"['{name}']")
            said = ",".join(f'"{cell}"' for cell in cells)
        else:
            said = f"{('left', 'down', 'right')[slot]},{seconds},0.07"
        return f"{','.join(f'v/{name}.mp4' for name in items)},{loops},1.5,,,{said},{extra}"

    lines.append(row(("clip00", "clip01", "clip02"), 0, 0.7, "0,0,0,0,,,,"))
    lines += [row(items, slot, seconds, f",,,,0,{k},{k},{k}") for k, (items, slot, seconds) in enumerate(TRUTH)]
    none = ",".join(["[]"] * 7) if mouse else "None,,"
    lines.append(f"v/clip08.mp4,v/clip09.mp4,v/clip10.mp4,,,,,0,3,3,3,1.5,,,{none},{extra}")
    path.write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("mouse", [True, False])
def test_psychopy_by_mouse_and_by_keys(tmp_path, mouse):
    psychopy(tmp_path / "p.csv", mouse=mouse)
    keys = ("image_left", "image_middle", "image_right") if mouse else ("left", "down", "right")
    found = read_answers(tmp_path / "p.csv", NAMES, "psychopy", {}, keys)
    check(found, "007")
    assert found.left_out["rows without items or answer"] == 2
    assert found.answered[0] == pytest.approx(pd.Timestamp("2024-05-03T14:22:17.123456+0200").timestamp())


@pytest.mark.parametrize("form", ["plain", "json", "final"])
def test_psychopy_takes_the_time_of_the_component_that_answered(tmp_path, form):
    """One valid click is written without a list; in browsers lists are JSON; keys are pressed to go on."""
    clock = "odd_touch.RT" if form == "final" else "odd_touch.time"
    rows = []
    for items, slot, seconds in TRUTH:
        name = ("image_left", "image_middle", "image_right")[slot]
        said = (json.dumps([name]), json.dumps([seconds])) if form == "json" else (name, seconds)
        rows.append(
            {
                "key_resp.keys": "space",
                "key_resp.rt": 9.0,
                **dict(zip(SIDES, items, strict=True)),
                "odd_touch.x": 0.1,
                "odd_touch.clicked_name": said[0],
                clock: said[1],
                "trials.thisN": 0,
                "trials.ran": 1,
                "trials.order": 0,
                "participant": "003",
                "date": "2024-05-03_14h22.17.123",
            }
        )
    pd.DataFrame(rows).to_csv(tmp_path / "p.csv", index=False, encoding="utf-8-sig")
    keys = ("image_left", "image_middle", "image_right")
    check(
        read_answers(tmp_path / "p.csv", NAMES, "psychopy", {"odd": "odd_touch.clicked_name"}, keys), "003", practice=0
    )


GORILLA = (
    "Event Index,UTC Timestamp,UTC Date,Local Timestamp,Local Timezone,Local Date,Experiment ID,Experiment Version,"
    "Tree Node Key,Repeat Key,Schedule ID,Participant Public ID,Participant Private ID,Participant Starting Group,"
    "Participant Status,Participant Completion Code,Participant External Session ID,Participant Device Type,"
    "Participant Device,Participant OS,Participant Browser,Participant Monitor Size,Participant Viewport Size,"
    "Checkpoint,Room ID,Room Order,Task Name,Task Version,Spreadsheet Name,Spreadsheet Row,Trial Number,"
    "Screen Number,Screen Name,Zone Name,Zone Type,Reaction Time,Reaction Onset,Response Type,Response,Attempt,"
    "Correct,Incorrect,Dishonest,X Coordinate,Y Coordinate,Timed Out,randomise_trials,display,left,middle,right"
)


GORILLA_2 = (
    "Event Index,UTC Timestamp,UTC Date and Time,Local Timestamp,Local Timezone,Local Date and Time,Experiment ID,"
    "Experiment Version,Tree Node Key,Repeat Key,Schedule ID,Participant Public ID,Participant Private ID,"
    "Participant Starting Group,Participant Status,Participant Completion Code,Participant External Session ID,"
    "Participant Device Type,Participant Device,Participant OS,Participant Browser,Participant Monitor Size,"
    "Participant Viewport Size,Checkpoint,Room ID,Room Order,Task Name,Task Version,Manipulation: Spreadsheet,"
    "Current Spreadsheet,Spreadsheet Row,Trial Number,Screen,Screen Number,Screen ID,Screen Counter,Response Type,"
    "Response,Context,Onset Time,Clock Time,Reaction Time,Absolute Onset Time,Absolute Clock Time,"
    "Absolute Reaction Time,Correct,Response Duration,Proportion,Tag,Component Name,Object Name,Object Number,"
    "Object ID,Display,Spreadsheet: Display,Spreadsheet: Left,Spreadsheet: Middle,Spreadsheet: Right,Store: n"
)


def gorilla(path, *, builder=1):
    header = GORILLA if builder == 1 else GORILLA_2
    columns = header.split(",")
    shared = {"UTC Timestamp": 1714738937123, "Experiment ID": 1234,
              "Participant Public ID": "5e9088a8a4b6ed018b45ba7b", "Participant Private ID": 10012345,
              "Participant Status": "complete", "Task Name": "Odd one out",
              "Participant Monitor Size": "1920x1080", "Local Date": "03/05/2024 14:22:17"}  # fmt: skip
    rows = [{**shared, "Trial Number": "BEGIN TASK"}] if builder == 1 else [
        {**shared, "Response Type": "info", "Response": "BEGIN"}]  # fmt: skip

    def trial(items, slot, seconds, display):
        if builder == 2:
            clips = {f"Spreadsheet: {side.title()}": f"{name}.mp4" for side, name in zip(SIDES, items, strict=True)}
            screen = {**shared, "Spreadsheet: Display": display, "Display": display, "Screen": "Screen 1", **clips}
            return [
                {**screen, "Response Type": "info", "Response": "", "Object Name": "Fixation", "Reaction Time": 250.0},
                {**screen, "Response Type": "response", "Response": f"{items[slot]}.mp4", "Object Name": "Clip",
                 "Reaction Time": 1000 * seconds, "Onset Time": 20.1, "Clock Time": 1000 * seconds + 20.1},
                {**screen, "Response Type": "action", "Response": "ADVANCE", "Reaction Time": 1000 * seconds + 400},
            ]  # fmt: skip
        clips = {side: f"{name}.mp4" for side, name in zip(SIDES, items, strict=True)}
        screen = {**shared, "display": display, **clips}
        fixation = {**screen, "Zone Type": "fixation", "Reaction Time": 250.0}
        answer = {**screen, "Zone Type": "response_button_image", "Reaction Time": 1000 * seconds,
                  "Response": f"{items[slot]}.mp4", "Attempt": 1}  # fmt: skip
        on = {**screen, "Zone Type": "continue_button", "Reaction Time": 400.0}
        return [fixation, answer, on]

    rows += trial(("clip00", "clip01", "clip02"), 0, 0.7, "practice")
    for items, slot, seconds in TRUTH:
        rows += trial(items, slot, seconds, "trial")
    frame = pd.DataFrame(rows, columns=columns)
    path.write_text(frame.to_csv(index=False) + "END OF FILE\n", encoding="utf-8-sig")


@pytest.mark.parametrize("builder", [1, 2])
def test_gorilla_of_both_task_builders(tmp_path, builder):
    gorilla(tmp_path / "g.csv", builder=builder)
    found = read_answers(tmp_path / "g.csv", NAMES, "gorilla", {})
    check(found, "10012345", practice=3, tol=1e-6)
    assert found.answered[0] == pytest.approx(1714738937.123)
    found = read_answers(tmp_path / "g.csv", NAMES, "gorilla", {"participant": "Participant Public ID"})
    check(found, "5e9088a8a4b6ed018b45ba7b", practice=3, tol=1e-6)


def test_things_counts_its_images_from_one(tmp_path):
    """The columns of the released table: images and choice counted from 1, test sets in noise_ceiling."""
    rows = [[*(i + 1 for i in row), slot + 1, 1000 * seconds, 4211, 0]
            for row, (_, slot, seconds) in zip(ITEMS, TRUTH, strict=True)]  # fmt: skip
    columns = ["image1", "image2", "image3", "choice", "RT", "subject_id", "noise_ceiling"]
    for separator in ("\t", ","):
        pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "t.csv", sep=separator, index=False)
        check(read_answers(tmp_path / "t.csv", NAMES, "things", {}), "4211", practice=0)
    frame = pd.DataFrame([[13, 1, 2, 1]], columns=columns[:4])
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match="item '13' is none of the 12 stimuli, counted from 1"):
        read_answers(tmp_path / "t.csv", NAMES, "things", {})
    # Stimuli that are called by numbers, in another order: nothing is guessed.
    frame.iloc[0, 0] = 3
    frame.to_csv(tmp_path / "t.csv", index=False)
    called = [str(i) for i in range(12)]
    with pytest.raises(DataError, match="first_item = 1"):
        read_answers(tmp_path / "t.csv", called, "things", {})
    assert read_answers(tmp_path / "t.csv", called, "things", {}, ("1", "2", "3"), 1).items.tolist() == [[2, 0, 1]]


PROLIFIC = (
    "Submission id,Participant id,Status,Custom study tncs accepted at,Started at,Completed at,Reviewed at,Archived at,"
    "Time taken,Completion code,Total approvals,Age,Sex,Nationality\n"
)


def test_prolific_is_joined_by_participant_and_rejected_submissions_weigh_nothing(tmp_path, capsys):
    rng = np.random.default_rng(0)
    trials, people = [], ["5e90aa", "5e90bb", "5e90cc", "5e90dd"]
    for person in people:
        for _ in range(30):
            items = [NAMES[i] for i in rng.choice(12, 3, replace=False)]
            trials.append({"rt": 900, "response": int(rng.integers(3)), "stimuli": items, "prolific_pid": person,
                           "trial_type": "html-button-response"})  # fmt: skip
    jspsych_csv(tmp_path / "people.csv", trials)
    status = ("APPROVED", "REJECTED", "TIMED-OUT")
    (tmp_path / "prolific.csv").write_text(
        PROLIFIC + "".join(
            f"671b8e{k},{person},{status[k]},Not Applicable,2024-10-25T12:27:09.17Z,2024-10-25T12:46:18.54Z,,,1150,"
            f"C1,12,{30 + k},Female,{'DATA_EXPIRED' if k else 'Germany'}\n" for k, person in enumerate(people[:3])
        ), encoding="utf-8",
    )  # fmt: skip
    table = '[[annotator]]\nkind = "table"\nfile = "people.csv"\nsource = "jspsych"\ndemographics = "prolific.csv"\n'
    config = write(tmp_path, table)
    assert main(["collect", "all", "--config", config]) == 0
    folder = tmp_path / "out" / "export" / "people"
    judgments = pd.read_parquet(folder / "judgments.parquet")
    without = judgments.loc[judgments["weight"] == 0, "participant"].astype(str)
    assert set(without) == {"5e90bb", "5e90cc"}
    assert len(without) == 60
    found = pd.read_csv(folder / "participants.tsv", sep="\t", na_values="n/a").set_index("participant")
    assert found["Age"].tolist()[:3] == [30, 31, 32]
    assert np.isnan(found["Age"].iloc[3])
    assert found["left_out"].fillna("").tolist() == ["", "status REJECTED", "status TIMED-OUT", ""]
    capsys.readouterr()
    assert main(["collect", "check", "--config", config]) == 0
    page = (tmp_path / "out" / "quality.html").read_text(encoding="utf-8")
    assert "1 of 4 participants are not in it: 5e90dd" in page
    (tmp_path / "prolific.csv").write_text(PROLIFIC + "671b8e,other,APPROVED" + "," * 11 + "\n", encoding="utf-8")
    assert main(["collect", "export", "--config", config]) == 1
    assert "none of the participants (5e90aa" in capsys.readouterr().err


def test_files_that_are_none_are_named(tmp_path):
    (tmp_path / "a.json").write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(DataError, match="'1' is no trial"):
        read_answers(tmp_path / "a.json", NAMES, "jspsych", {})
    (tmp_path / "a.json").write_text("{oops", encoding="utf-8")
    with pytest.raises(DataError, match="not valid JSON"):
        read_answers(tmp_path / "a.json", NAMES, "jspsych", {})
    (tmp_path / "a.csv").write_text("a,b\n1,2\n1,2,3\n", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read as a table"):
        read_answers(tmp_path / "a.csv", NAMES, "jspsych", {})
