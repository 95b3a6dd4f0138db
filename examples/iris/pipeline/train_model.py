"""Trains a classifier of iris flowers and writes it, with how well it does, beside this file."""

import json
from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

MODEL_FILE = Path("model.joblib")
METRICS_FILE = Path("metrics.json")


def main() -> None:
    data = load_iris()
    train_x, test_x, train_y, test_y = train_test_split(
        data.data, data.target, test_size=0.2, stratify=data.target, random_state=42
    )
    model = RandomForestClassifier(n_estimators=50, random_state=42)
    model.fit(train_x, train_y)
    accuracy = float(accuracy_score(test_y, model.predict(test_x)))

    joblib.dump({"model": model, "species": list(map(str, data.target_names))}, MODEL_FILE)
    METRICS_FILE.write_text(json.dumps({"accuracy": round(accuracy, 4), "rows": len(data.target)}))
    print(f"trained on {len(train_y)} flowers; accuracy on {len(test_y)} others: {accuracy:.2f}")


if __name__ == "__main__":
    main()
